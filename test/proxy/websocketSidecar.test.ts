import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test, type TestContext } from 'node:test'
import { WebSocket, WebSocketServer } from 'ws'
import { startSidecar, testKey } from '../fixtures/startSidecar.ts'

/** A realtime provider that repeats what it hears, and remembers the key it was shown. */
async function realtime(t: TestContext): Promise<{ url: string; keys: (string | undefined)[] }> {
  const server = createServer()
  const sockets = new WebSocketServer({ server })
  const keys: (string | undefined)[] = []
  sockets.on('connection', (socket, req) => {
    keys.push(req.headers.authorization)
    socket.on('message', (data, isBinary) => {
      socket.send(data, { binary: isBinary })
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    for (const socket of sockets.clients) socket.terminate()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, keys }
}

test('a realtime session goes through the sidecar with the key, and is counted while it lasts', async (t) => {
  const upstream = await realtime(t)
  const sidecar = await startSidecar(t, upstream.url)
  const socket = new WebSocket(`${sidecar.url.replace('http', 'ws')}/realtime?model=gpt-realtime`, {
    headers: { authorization: 'Bearer none' },
  })
  await once(socket, 'open')
  assert.deepEqual(upstream.keys, [`Bearer ${testKey}`])
  socket.send('hello')
  const [heard] = (await once(socket, 'message')) as [Buffer]
  assert.equal(heard.toString(), 'hello')
  assert.match(await (await fetch(`${sidecar.adminUrl}/metrics`)).text(), /^outrider_websockets 1$/m)
  socket.close(4001, 'enough')
  const [code, reason] = (await once(socket, 'close')) as [number, Buffer]
  assert.deepEqual([code, reason.toString()], [4001, 'enough'])
  const line = await sidecar.callLine(0)
  assert.deepEqual([line['path'], line['status'], line['end']], ['/v1/realtime', 101, 'complete'])
})

test('a session that outlives the grace ends with 1001', async (t) => {
  const upstream = await realtime(t)
  const sidecar = await startSidecar(t, upstream.url, { drain: { grace: '300ms' } })
  const socket = new WebSocket(`${sidecar.url.replace('http', 'ws')}/realtime`)
  await once(socket, 'open')
  const closed = once(socket, 'close') as Promise<[number, Buffer]>
  await sidecar.proxy.drain()
  assert.equal((await closed)[0], 1001)
})
