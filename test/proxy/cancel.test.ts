import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { test, type TestContext } from 'node:test'
import { answers, eachCut, paced, provider, rawUpstream, stall, stallAfter } from '../fixtures/provider.ts'
import { startByHand, startSidecar, type Sidecar } from '../fixtures/startSidecar.ts'
import { aheadAfterMs, sendUntilStuck } from '../fixtures/stuckUpload.ts'
import { post, uploadHead, wireClient } from '../fixtures/wireClient.ts'

const streaming = '{"stream":true}'

/** A call that was cancelled has ended, and nothing of it is left. */
async function endedByClient(sidecar: Sidecar, n = 0): Promise<void> {
  assert.equal((await sidecar.callLine(n))['error'], 'client_gone')
  const { inFlight, alarms, heldBytes } = sidecar.proxy.residue()
  assert.deepEqual({ inFlight, alarms, heldBytes }, { inFlight: 0, alarms: 0, heldBytes: 0 })
}

/** Accepts connections, reads nothing, and tells when the other side is gone. */
async function silentListener(t: TestContext): Promise<{ port: number; accepted: Promise<void>; gone: Promise<void> }> {
  const accepted = Promise.withResolvers<void>()
  const gone = Promise.withResolvers<void>()
  const server = createServer((socket) => {
    accepted.resolve()
    socket
      .on('error', () => {})
      .on('close', () => {
        gone.resolve()
      })
    socket.resume()
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.close()
  })
  return { port: (server.address() as AddressInfo).port, accepted: accepted.promise, gone: gone.promise }
}

test('a client that leaves while the model thinks takes the upstream attempt with it', async (t) => {
  const upstream = await provider(t, stall())
  const sidecar = await startSidecar(t, upstream.url)
  const client = await wireClient(t, sidecar.port, post('{}'))
  const seen = await upstream.request(0)
  client.socket.destroy()
  assert.equal(await seen.closed, true)
  await endedByClient(sidecar)
})

eachCut('a client that leaves before the first event of its stream, or in the middle of it, takes the attempt with it', async (t, cut) => {
  const upstream = await provider(t, [stall(), stallAfter('{"choices":[1]}')], { cut })
  const sidecar = await startSidecar(t, upstream.url)
  const early = await wireClient(t, sidecar.port, post(streaming))
  const first = await upstream.request(0)
  early.socket.destroy()
  assert.equal(await first.closed, true)
  await endedByClient(sidecar, 0)
  const late = await wireClient(t, sidecar.port, post(streaming))
  await late.until('"choices"')
  late.socket.resetAndDestroy()
  assert.equal(await (await upstream.request(1)).closed, true)
  await endedByClient(sidecar, 1)
})

test('a client that leaves in the middle of a body takes the attempt with it', async (t) => {
  const step = paced({ 'content-type': 'application/json' })
  const upstream = await provider(t, [step])
  const sidecar = await startSidecar(t, upstream.url)
  const client = await wireClient(t, sidecar.port, post('{}'))
  await step.sendBytes('{"half":')
  await client.until('half')
  client.socket.destroy()
  assert.equal(await step.closed, true)
  await endedByClient(sidecar)
})

eachCut('a client that closes only its sending side counts as gone', async (t, cut) => {
  const upstream = await provider(t, [stall(), stallAfter('{"choices":[1]}')], { cut })
  const sidecar = await startSidecar(t, upstream.url)
  const waiting = await wireClient(t, sidecar.port, post('{}'))
  const first = await upstream.request(0)
  waiting.socket.end()
  assert.equal(await first.closed, true)
  await endedByClient(sidecar, 0)
  const reading = await wireClient(t, sidecar.port, post(streaming))
  await reading.until('"choices"')
  reading.socket.end()
  assert.equal(await (await upstream.request(1)).closed, true)
  await endedByClient(sidecar, 1)
})

test('a client that leaves the queue makes room for the one behind it, and the upstream never hears of it', async (t) => {
  const upstream = await provider(t, [stall(), answers(200, { third: true })])
  const sidecar = await startSidecar(t, upstream.url, {}, { connections: 1 })
  const first = await wireClient(t, sidecar.port, post('{"n":1}'))
  const held = await upstream.request(0)
  const second = await wireClient(t, sidecar.port, post('{"n":2}'))
  const third = await wireClient(t, sidecar.port, post('{"n":3}'))
  second.socket.destroy()
  assert.equal((await sidecar.callLine(0))['error'], 'client_gone')
  first.socket.destroy()
  await held.closed
  await third.until('"third":true')
  assert.equal(upstream.seen[1]?.body.toString(), '{"n":3}')
})

test('a client that leaves while its connection is being opened closes it: in the TLS handshake', async (t) => {
  const listener = await silentListener(t)
  const sidecar = await startSidecar(t, `https://127.0.0.1:${listener.port}`)
  const client = await wireClient(t, sidecar.port, post('{}'))
  await listener.accepted
  client.socket.destroy()
  await listener.gone
  await endedByClient(sidecar)
})

test('a client that leaves while its connection is being opened closes it: before the proxy has answered CONNECT', async (t) => {
  const listener = await silentListener(t)
  const sidecar = await startSidecar(t, 'https://model.example', {}, { proxy: `http://127.0.0.1:${listener.port}` })
  const client = await wireClient(t, sidecar.port, post('{}'))
  await listener.accepted
  client.socket.destroy()
  await listener.gone
  await endedByClient(sidecar)
})

test('a client that leaves in the middle of its upload takes the attempt with it', async (t) => {
  const upstream = await rawUpstream(t, async (_socket, bytes) => {
    await bytes.until('half of it')
  })
  const sidecar = await startSidecar(t, upstream.url)
  const client = await wireClient(t, sidecar.port, uploadHead(1_000), 'half of it')
  const seen = await upstream.connection(0)
  await seen.until('half of it')
  client.socket.destroy()
  assert.match((await seen.closed).toString(), /half of it/)
  await endedByClient(sidecar)
})

for (const [how, leave] of [
  ['resets', 'resetAndDestroy'],
  ['closes', 'destroy'],
  ['half-closes', 'end'],
] as const) {
  test(`a client that ${how} its connection is noticed although the upstream has stopped taking its upload`, async (t) => {
    const reading = Promise.withResolvers<void>()
    const closed = Promise.withResolvers<void>()
    // Reads the head and then nothing until it is told that the client has left: a close behind unread bytes is seen only by reading.
    const server = createServer((socket) => {
      socket
        .on('error', () => {})
        .on('close', () => {
          closed.resolve()
        })
      socket.once('data', () => {
        socket.pause()
        reading.resolve()
      })
      gone.promise.then(() => socket.resume()).catch(() => {})
    }).listen(0, '127.0.0.1')
    const gone = Promise.withResolvers<void>()
    await once(server, 'listening')
    t.after(() => {
      server.close()
    })
    const sidecar = await startByHand(t, `http://127.0.0.1:${(server.address() as AddressInfo).port}`)
    const client = await wireClient(t, sidecar.port, uploadHead(400e6))
    await sendUntilStuck(client.socket, sidecar)
    await reading.promise
    assert.equal(sidecar.proxy.residue().heldBytes, 0)
    // Now the sidecar reads ahead.
    sidecar.clock.pass(aheadAfterMs)
    client.socket[leave]()
    await sidecar.logged('client_gone')
    gone.resolve()
    await closed.promise
    assert.equal(sidecar.log().split('"error":"client_gone"').length, 2)
    assert.equal(sidecar.proxy.residue().heldBytes, 0)
  })
}

test('a client that leaves while its body is still being read costs no attempt', async (t) => {
  const upstream = await provider(t, [answers(200)])
  const sidecar = await startSidecar(t, upstream.url)
  const client = await wireClient(t, sidecar.port, post('{"model":"m"}').slice(0, -4))
  // What comes behind it on another connection shows that the first has been read.
  await wireClient(t, sidecar.port, post('{}', '/v1/models', 'connection: close')).then(({ closed }) => closed)
  client.socket.destroy()
  await endedByClient(sidecar, 1)
  assert.equal(upstream.seen.length, 1)
})
