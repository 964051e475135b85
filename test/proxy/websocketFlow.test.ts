import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { closeOf, messages, rawTunnel, tunnelled, webSocketUpstream } from '../fixtures/websocket.ts'

/** A text frame of 5, as servers send it. */
const hello = Buffer.from('\x81\x05hello', 'latin1')

test('a sender waits for a receiver that does not read, in both directions, and nothing is lost', async (t) => {
  const total = 48 * 1024 * 1024
  const block = Buffer.alloc(1024 * 1024, 'b')
  const { client, far, sidecar, upstream } = await rawTunnel(t)
  const [near] = sidecar.clients
  const [out] = sidecar.dialled
  assert.ok(near !== undefined && out !== undefined)
  const head = Buffer.from([0x82, 0x7f, 0, 0, 0, 0, 0, 0, 0, 0])
  head.writeBigUInt64BE(BigInt(total), 2)
  for (const [from, into, sink] of [
    [far, client.socket, near],
    [client.socket, far, out],
  ] as const) {
    into.pause()
    from.write(head)
    const pumped = (async () => {
      for (let sent = 0; sent < total; sent += block.length) if (!from.write(block)) await once(from, 'drain')
    })()
    const source = sink === near ? out : near
    while (!sink.writableNeedDrain || !source.isPaused()) await turn()
    assert.ok(sink.writableLength < 1_000_000 && from.writableNeedDrain)
    let got = 0
    const all = new Promise<void>((done) => {
      into.on('data', (bytes: Buffer) => {
        got += bytes.length
        if (got === total + head.length) done()
      })
    })
    into.resume()
    await Promise.all([pumped, all])
  }
  far.write(hello)
  client.socket.removeAllListeners('data')
  const [end] = (await once(client.socket, 'data')) as [Buffer]
  assert.deepEqual(end, hello)
  assert.equal(upstream.connections.length, 1)
})

test('a hundred WebSockets at a time echo in order and leave nothing behind', async (t) => {
  const upstream = await webSocketUpstream(t)
  const sidecar = await tunnelled(t, upstream.url)
  const sockets = (): number => process.getActiveResourcesInfo().filter((kind) => kind === 'TCPSocketWrap').length
  // http-proxy is loaded by the first.
  const before = sockets()
  const said = Array.from({ length: 30 }, (_none, at) => `message ${at} ${'x'.repeat(at * 100)}`)
  const one = async (): Promise<void> => {
    const socket = sidecar.connect()
    await once(socket, 'open')
    const heard = messages(socket, said.length)
    for (const text of said) socket.send(text)
    assert.deepEqual(await heard, said)
    socket.close(1000)
    assert.equal((await closeOf(socket)).code, 1000)
  }
  await Promise.all(Array.from({ length: 100 }, one))
  await sidecar.tunnel.settled()
  assert.equal(sidecar.calls.length, 100)
  assert.equal(sidecar.admission.inFlight, 0)
  assert.equal(sidecar.tunnel.open(), 0)
  while (sockets() > before) await turn()
})
