import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import timers from 'node:timers/promises'
import { test, type TestContext } from 'node:test'
import { rawUpstream, testCertificates, type RawUpstream, type Tls } from '../fixtures/provider.ts'
import { startSidecar, type Sidecar } from '../fixtures/startSidecar.ts'
import { uploadHead, wireClient } from '../fixtures/wireClient.ts'

const ok = 'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}'
const isRequest = (all: Buffer, n: number): boolean => all.toString('latin1').split('"n":').length > n

const call = (sidecar: Sidecar, n: number): Promise<Response> =>
  fetch(`${sidecar.url}/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ n }),
  })

async function outcome(reply: Response): Promise<string> {
  await reply.text()
  return [reply.status, reply.headers.get('x-outrider-error') ?? 'answered', reply.headers.get('x-outrider-attempts')].join(' ')
}

/** Answers the first request of the first connection, and does as told with the second; later connections answer everything. */
async function spoiled(
  t: TestContext,
  second: (socket: Socket) => void | Promise<void>,
  others: (socket: Socket) => void = (socket) => socket.write(ok),
  tls?: Tls,
): Promise<RawUpstream> {
  let connections = 0
  const script = async (socket: Socket, bytes: { until: (is: (all: Buffer) => boolean) => Promise<Buffer> }): Promise<void> => {
    const first = ++connections === 1
    if (!first) {
      for (let n = 1; ; n++) {
        await bytes.until((all) => isRequest(all, n))
        others(socket)
      }
    }
    await bytes.until((all) => isRequest(all, 1))
    socket.write(ok)
    await bytes.until((all) => isRequest(all, 2))
    await second(socket)
  }
  return tls === undefined ? rawUpstream(t, script) : rawUpstream(t, script, { tls })
}

test('a kept connection that closes as soon as it is used again is replaced unseen', async (t) => {
  const upstream = await spoiled(t, (socket) => void socket.end())
  const sidecar = await startSidecar(t, upstream.url)
  assert.equal(await outcome(await call(sidecar, 1)), '200 answered 1')
  assert.equal(await outcome(await call(sidecar, 2)), '200 answered 1')
  assert.equal(upstream.connections.length, 2)
})

test('so is one that is reset', async (t) => {
  const upstream = await spoiled(t, (socket) => void socket.resetAndDestroy())
  const sidecar = await startSidecar(t, upstream.url)
  await outcome(await call(sidecar, 1))
  assert.equal(await outcome(await call(sidecar, 2)), '200 answered 1')
  assert.equal((await sidecar.callLine(1))['attempts'], 1)
})

test('so is one with TLS', async (t) => {
  const { ca, server } = testCertificates()
  const upstream = await spoiled(t, (socket) => void socket.end(), undefined, { cert: server.cert, key: server.key })
  const sidecar = await startSidecar(t, upstream.url, { network: { ca: ca.certPath } })
  await outcome(await call(sidecar, 1))
  assert.equal(await outcome(await call(sidecar, 2)), '200 answered 1')
})

test('so is the only connection that the configuration allows', async (t) => {
  const upstream = await spoiled(t, (socket) => void socket.resetAndDestroy())
  const sidecar = await startSidecar(t, upstream.url, {}, { connections: 1 })
  await outcome(await call(sidecar, 1))
  const replies = await Promise.all([call(sidecar, 2), call(sidecar, 3)])
  assert.deepEqual(await Promise.all(replies.map(outcome)), ['200 answered 1', '200 answered 1'])
})

test('so is the only connection of one that is sent a large body, whole', async (t) => {
  const upstream = await rawUpstream(t, async (socket, bytes) => {
    const first = upstream.connections.length === 1
    if (first) {
      await bytes.until((all) => isRequest(all, 1))
      socket.write(ok)
      await bytes.until('"text":')
      return void socket.resetAndDestroy()
    }
    const all = await bytes.until('!"}')
    assert.equal(all.toString('latin1').split('x').length > 300_000, true)
    socket.write(ok)
  })
  const sidecar = await startSidecar(t, upstream.url)
  await outcome(await call(sidecar, 1))
  const body = JSON.stringify({ text: `${'x'.repeat(300_000)}!` })
  const headers = { 'content-type': 'application/json' }
  const reply = await fetch(`${sidecar.url}/embeddings`, { method: 'POST', headers, body })
  assert.equal(await outcome(reply), '200 answered 1')
})

test('when the new connection closes as well, the call fails, and is not sent a third time', async (t) => {
  const upstream = await spoiled(
    t,
    (socket) => void socket.end(),
    (socket) => socket.destroy(),
  )
  const sidecar = await startSidecar(t, upstream.url)
  await outcome(await call(sidecar, 1))
  assert.equal(await outcome(await call(sidecar, 2)), '502 no_reply 1')
  assert.equal(upstream.connections.length, 2)
})

test('a kept connection that closes only after a second may have worked on the call: it is not repeated', async (t) => {
  const upstream = await spoiled(t, async (socket) => {
    await timers.setTimeout(1_050)
    socket.destroy()
  })
  const sidecar = await startSidecar(t, upstream.url)
  await outcome(await call(sidecar, 1))
  assert.equal(await outcome(await call(sidecar, 2)), '502 no_reply 1')
  assert.equal(upstream.connections.length, 1)
})

test('nor is one on which the upstream has begun to answer', async (t) => {
  for (const bytes of ['H', 'HTTP/1.1 100 Continue\r\n\r\n', 'HTTP/1.1 102 Processing\r\n\r\n', 'HTTP/1.1 200 OK\r\nconte']) {
    const upstream = await spoiled(t, (socket) => void socket.end(bytes))
    const sidecar = await startSidecar(t, upstream.url)
    await outcome(await call(sidecar, 1))
    assert.equal(await outcome(await call(sidecar, 2)), '502 no_reply 1', bytes)
    assert.equal(upstream.connections.length, 1)
  }
})

test('a new connection that closes without an answer is no stale one', async (t) => {
  const upstream = await rawUpstream(t, async (socket, bytes) => {
    await bytes.until('"n":')
    socket.destroy()
  })
  const sidecar = await startSidecar(t, upstream.url)
  assert.equal(await outcome(await call(sidecar, 1)), '502 no_reply 1')
  assert.equal(upstream.connections.length, 1)
})

test('an upload that has begun is not repeated, though its connection was stale', async (t) => {
  const upstream = await rawUpstream(t, async (socket, bytes) => {
    await bytes.until((all) => isRequest(all, 1))
    socket.write(ok)
    await bytes.until('the beginning')
    socket.resetAndDestroy()
  })
  const sidecar = await startSidecar(t, upstream.url)
  await outcome(await call(sidecar, 1))
  const client = await wireClient(t, sidecar.port, uploadHead(1_000), 'the beginning')
  assert.match(await client.until('\r\n\r\n'), /^HTTP\/1.1 502 [^]*x-outrider-error: no_reply/)
  assert.equal(upstream.connections.length, 1)
})

test('a kept connection that the upstream closes while it is idle is never used', async (t) => {
  const upstream = await rawUpstream(t, async (socket, bytes) => {
    await bytes.until('"n":')
    socket.end(ok)
  })
  const sidecar = await startSidecar(t, upstream.url)
  await outcome(await call(sidecar, 1))
  await (
    await upstream.connection(0)
  ).closed
  assert.equal(await outcome(await call(sidecar, 2)), '200 answered 1')
  assert.equal((await upstream.connection(0).then(({ all }) => all().toString())).includes('"n":2'), false)
})
