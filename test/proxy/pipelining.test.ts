import assert from 'node:assert/strict'
import { test } from 'node:test'
import { answers, provider, stall } from '../fixtures/provider.ts'
import { chatHead, goodCall, rawClient, repliesIn } from '../fixtures/rawClient.ts'
import { startSidecar } from '../fixtures/startSidecar.ts'

test('calls in one packet are answered in their order, however long each takes', async (t) => {
  const firsts = Promise.withResolvers<void>()
  const upstream = await provider(t, async (exchange) => {
    const body = await exchange.body
    if (body.toString() === '{"n":0}') await firsts.promise
    await answers(200, body)(exchange)
    if (body.toString() === '{"n":29}') firsts.resolve()
  })
  const sidecar = await startSidecar(t, upstream.url)
  const client = await rawClient(t, sidecar.port)
  const bodies = Array.from({ length: 30 }, (_none, n) => `{"n":${n}}`)
  client.send(bodies.map((body) => `${chatHead}Content-Length: ${body.length}\r\n\r\n${body}`).join(''))
  const replies = repliesIn(await client.until('\r\n\r\n{"n":29}'))
  assert.deepEqual(
    replies.map(({ body }) => body),
    bodies,
  )
})

test('a client that leaves takes all its calls with it', async (t) => {
  const upstream = await provider(t, stall())
  const sidecar = await startSidecar(t, upstream.url)
  const client = await rawClient(t, sidecar.port)
  client.send(goodCall.repeat(15))
  await upstream.request(14)
  client.socket.destroy()
  assert.deepEqual(
    await Promise.all(upstream.seen.map(({ closed }) => closed)),
    Array.from({ length: 15 }, () => true),
  )
  await sidecar.callLine(14)
})

test('what follows a call that closes the connection is not executed', async (t) => {
  const release = Promise.withResolvers<void>()
  const upstream = await provider(t, (exchange) => release.promise.then(() => answers(200)(exchange)))
  const sidecar = await startSidecar(t, upstream.url)
  const client = await rawClient(t, sidecar.port)
  client.send(goodCall.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n') + goodCall)
  await upstream.request(0)
  release.resolve()
  assert.deepEqual(
    repliesIn(await client.closed).map(({ status }) => status),
    [200],
  )
  assert.equal(upstream.seen.length, 1)
})

for (const [what, request] of [
  ['CONNECT', 'CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n'],
  ['an upgrade', 'GET /v1/responses HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n'],
] as const) {
  test(`${what} behind a call that is not answered yet waits for its turn, and is refused`, async (t) => {
    const release = Promise.withResolvers<void>()
    const upstream = await provider(t, (exchange) => release.promise.then(() => answers(200)(exchange)))
    const sidecar = await startSidecar(t, upstream.url)
    const client = await rawClient(t, sidecar.port)
    client.send(goodCall + request)
    await upstream.request(0)
    release.resolve()
    assert.deepEqual(
      repliesIn(await client.closed).map(({ status }) => status),
      [200, 400],
    )
    assert.equal(upstream.seen.length, 1)
  })
}
