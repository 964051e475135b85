import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { blackhole, rawUpstream } from '../fixtures/provider.ts'
import { rawClient } from '../fixtures/rawClient.ts'
import { ask, switching, tunnelled } from '../fixtures/websocket.ts'

const silent = (): void => {}

test('a client that leaves while the connection is being opened takes it along', async (t) => {
  const upstream = await rawUpstream(t, silent)
  // Nobody answers the handshake, so the connection is never ready.
  const { port, reported, clients } = await tunnelled(t, upstream.url.replace('http:', 'https:'), { connectMs: 60_000 })
  const client = await rawClient(t, port)
  client.send(ask())
  const connection = await upstream.connection(0)
  client.socket.resetAndDestroy()
  await connection.closed
  const { facts } = await reported(0)
  assert.deepEqual({ status: facts.status, error: facts.error }, { status: 0, error: 'client_gone' })
  assert.equal(clients.length, 1)
})

for (const [how, early, leave] of [
  ['resets', '', (socket: Socket) => void socket.resetAndDestroy()],
  ['ends', '', (socket: Socket) => void socket.end()],
  ['ends behind frames that came early', '\x81\x80mask', (socket: Socket) => void socket.end()],
] as const) {
  test(`a client that ${how} before the 101 closes the upstream's socket at once`, async (t) => {
    const upstream = await rawUpstream(t, silent)
    const { port, reported } = await tunnelled(t, upstream.url)
    const client = await rawClient(t, port)
    client.send(ask() + early)
    const connection = await upstream.connection(0)
    await connection.until('\r\n\r\n')
    leave(client.socket)
    await connection.closed
    assert.equal((await reported(0)).facts.error, 'client_gone')
  })
}

test('frames that come before the 101 are passed on behind it', async (t) => {
  const go = Promise.withResolvers<void>()
  const upstream = await rawUpstream(t, async (socket, bytes) => {
    await bytes.until('\r\n\r\n')
    await go.promise
    socket.write(switching())
  })
  const { port, clients } = await tunnelled(t, upstream.url)
  const client = await rawClient(t, port)
  client.send(`${ask()}first`)
  const connection = await upstream.connection(0)
  await connection.until('\r\n\r\n')
  client.send(' second')
  while (clients[0]?.bytesRead !== ask().length + 12) await turn()
  go.resolve()
  assert.match((await connection.until('second')).toString(), /\r\n\r\nfirst second$/)
})

test('a client that floods before the 101 is refused', async (t) => {
  const upstream = await rawUpstream(t, silent)
  const { port } = await tunnelled(t, upstream.url)
  const client = await rawClient(t, port)
  client.send(ask())
  await (await upstream.connection(0)).until('\r\n\r\n')
  client.send(Buffer.alloc(70_000))
  assert.match(await client.closed, /^HTTP\/1.1 400 .*bad_request/s)
  await (
    await upstream.connection(0)
  ).closed
})

test('at the end of the grace an upgrade without an answer is refused', async (t) => {
  const upstream = await blackhole(t)
  const { port, tunnel, dialled } = await tunnelled(t, upstream.url)
  const client = await rawClient(t, port)
  client.send(ask())
  while (dialled.length === 0) await turn()
  tunnel.closeAll(1001, 'shutting down')
  assert.match(await client.closed, /^HTTP\/1.1 503 .*"code":"draining"/s)
})
