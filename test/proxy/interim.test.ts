import assert from 'node:assert/strict'
import { test } from 'node:test'
import { answers, provider, rawUpstream, type Step } from '../fixtures/provider.ts'
import { chatHead, goodCall, rawClient, repliesIn } from '../fixtures/rawClient.ts'
import { startSidecar } from '../fixtures/startSidecar.ts'

const hinting: Step = async (exchange) => {
  exchange.res.writeProcessing()
  exchange.res.writeEarlyHints({ link: '</a>; rel=preload', 'x-outrider-call': 'forged' })
  await answers(200)(exchange)
}

test('interim answers of the upstream reach a client of HTTP/1.1 in front of the answer', async (t) => {
  const upstream = await provider(t, hinting)
  const sidecar = await startSidecar(t, upstream.url)
  const client = await rawClient(t, sidecar.port)
  client.send(goodCall)
  const replies = repliesIn(await client.until('\r\n\r\n{}'))
  assert.deepEqual(
    replies.map(({ status }) => status),
    [102, 103, 200],
  )
  assert.equal(replies[1]?.header('link'), '</a>; rel=preload')
  assert.equal(replies[1]?.header('x-outrider-call'), undefined)
})

test('they do not reach a client of HTTP/1.0', async (t) => {
  const upstream = await provider(t, hinting)
  const sidecar = await startSidecar(t, upstream.url)
  const client = await rawClient(t, sidecar.port)
  client.send('POST /v1/x HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n{}')
  assert.deepEqual(
    repliesIn(await client.closed).map(({ status }) => status),
    [200],
  )
})

test('a 100 that nobody asked for is not passed on', async (t) => {
  const upstream = await rawUpstream(t, async (socket, bytes) => {
    await bytes.until('\r\n\r\n')
    socket.write('HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}')
  })
  const sidecar = await startSidecar(t, upstream.url)
  const client = await rawClient(t, sidecar.port)
  client.send(`${chatHead}Content-Length: 2\r\n\r\n{}`)
  assert.deepEqual(
    repliesIn(await client.until('\r\n\r\n{}')).map(({ status }) => status),
    [200],
  )
})

// RFC 9110 orders no interim answers: any of them may come in front of any other.
for (const [how, cut] of [
  ['in one piece', (text: string) => [text]],
  ['byte by byte', (text: string) => text.split('')],
] as const) {
  test(`nor is one behind another interim answer, which is: ${how}`, async (t) => {
    const go = 'HTTP/1.1 100 Continue\r\n\r\n'
    const hint = 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n'
    const upstream = await rawUpstream(t, async (socket, bytes) => {
      await bytes.until('\r\n\r\n')
      for (const part of cut(`${go}${hint}${go}HTTP/1.1 102 Processing\r\n\r\n${go}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}`)) {
        await new Promise<void>((done) => {
          socket.write(part, () => setImmediate(done))
        })
      }
    })
    const sidecar = await startSidecar(t, upstream.url)
    const client = await rawClient(t, sidecar.port)
    client.send(`${chatHead}Content-Length: 2\r\n\r\n{}`)
    const replies = repliesIn(await client.until('\r\n\r\n{}'))
    assert.deepEqual(
      replies.map(({ status }) => status),
      [103, 102, 200],
    )
    assert.equal(replies[0]?.header('link'), '</a>')
  })
}

test('an interim answer to a call that waits for its turn is dropped, not mixed into another', async (t) => {
  const release = Promise.withResolvers<void>()
  const upstream = await provider(t, [(exchange) => release.promise.then(() => answers(200)(exchange)), hinting])
  const sidecar = await startSidecar(t, upstream.url)
  const client = await rawClient(t, sidecar.port)
  client.send(goodCall)
  await upstream.request(0)
  client.send(goodCall)
  await (
    await upstream.request(1)
  ).closed
  release.resolve()
  assert.deepEqual(
    repliesIn(await client.until('\r\n\r\n{}', 2)).map(({ status }) => status),
    [200, 200],
  )
})

test('a client that asks before sending is told to go on when its turn has come', async (t) => {
  const release = Promise.withResolvers<void>()
  const upstream = await provider(t, [(exchange) => release.promise.then(() => answers(200)(exchange)), answers(200)])
  const sidecar = await startSidecar(t, upstream.url)
  const client = await rawClient(t, sidecar.port)
  client.send(`${goodCall}${chatHead}Expect: 100-continue\r\nContent-Length: 2\r\n\r\n`)
  await upstream.request(0)
  release.resolve()
  await client.until('HTTP/1.1 100 Continue\r\n\r\n')
  client.send('{}')
  assert.deepEqual(
    repliesIn(await client.until('\r\n\r\n{}', 2)).map(({ status }) => status),
    [200, 100, 200],
  )
})

test('one that waits too long for its turn is refused, and is not told to go on as well', async (t) => {
  const release = Promise.withResolvers<void>()
  const upstream = await provider(t, [(exchange) => release.promise.then(() => answers(200)(exchange))])
  const sidecar = await startSidecar(t, upstream.url, { timeouts: { clientBody: '200ms' } })
  const client = await rawClient(t, sidecar.port)
  client.send(`${goodCall}${chatHead}Expect: 100-continue\r\nContent-Length: 2\r\n\r\n`)
  await upstream.request(0)
  // Longer than the wait of the second call.
  setTimeout(release.resolve, 600)
  assert.deepEqual(
    repliesIn(await client.closed).map(({ status }) => status),
    [200, 408],
  )
})

test('one that asks before sending nothing is answered, and keeps its connection', async (t) => {
  const upstream = await provider(t, answers(200))
  const sidecar = await startSidecar(t, upstream.url)
  const client = await rawClient(t, sidecar.port)
  const asking = goodCall.replace('\r\n\r\n', '\r\nExpect: 100-continue\r\n\r\n')
  for (let n = 1; n <= 2; n++) {
    client.send(asking)
    await client.until('\r\n\r\n{}', n)
  }
  client.send(`${chatHead}Expect: 100-continue\r\nContent-Length: 0\r\n\r\n`)
  assert.deepEqual(
    repliesIn(await client.until('\r\n\r\n{}', 3)).map(({ status, header }) => [status, header('connection')]),
    Array.from({ length: 3 }, () => [200, 'keep-alive']),
  )
})
