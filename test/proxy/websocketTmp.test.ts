import { test } from 'node:test'
import { rawUpstream } from '../fixtures/provider.ts'
import { rawClient } from '../fixtures/rawClient.ts'
import { ask, refusalOf, tunnelled } from '../fixtures/websocket.ts'
test('x', async (t) => {
  const upstream = await rawUpstream(t, async (socket, bytes) => {
    await bytes.until('\r\n\r\n')
    socket.write('HTTP/1.1 404 x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{"err\r\n')
    socket.write('3\r\nabc\r\n0\r\n\r\n')
  })
  const { port, connect } = await tunnelled(t, upstream.url)
  const c = await rawClient(t, port)
  c.send(ask())
  console.log(JSON.stringify(await c.closed))
  console.log(await refusalOf(connect()))
})
