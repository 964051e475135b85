import assert from 'node:assert/strict'
import { test } from 'node:test'
import { answers, provider } from '../fixtures/provider.ts'
import { chatHead, goodCall, rawClient, refusalIn, repliesIn } from '../fixtures/rawClient.ts'
import { startSidecar } from '../fixtures/startSidecar.ts'

const impatient = { timeouts: { clientHead: '400ms', clientBody: '300ms' } }

test('a client whose header comes a byte at a time is told so and closed, on a kept connection too', async (t) => {
  const upstream = await provider(t, answers(200))
  const sidecar = await startSidecar(t, upstream.url, impatient)
  for (const before of ['', goodCall]) {
    const client = await rawClient(t, sidecar.port)
    client.send(before)
    if (before !== '') await client.until('\r\n\r\n{}')
    const began = performance.now()
    client.send('GET /v1/models HTTP/1.1\r\nHost: ')
    const drip = setInterval(() => {
      client.send('a')
    }, 50)
    const text = await client.closed
    clearInterval(drip)
    // Node alone would wait for a minute.
    assert.ok(performance.now() - began < 30_000)
    const { status, kind, close } = refusalIn(text)
    assert.deepEqual({ status, kind, close }, { status: 408, kind: 'client_timeout', close: true })
  }
})

test('a client that connects and says nothing is closed without a word', async (t) => {
  const upstream = await provider(t, answers(200))
  const sidecar = await startSidecar(t, upstream.url, impatient)
  assert.equal(await (await rawClient(t, sidecar.port)).closed, '')
})

test('a client that falls silent in the middle of a body that is kept is told so', async (t) => {
  const upstream = await provider(t, answers(200))
  const sidecar = await startSidecar(t, upstream.url, impatient)
  for (const framing of ['Content-Length: 10', 'Transfer-Encoding: chunked']) {
    const client = await rawClient(t, sidecar.port)
    client.send(`${chatHead}${framing}\r\n\r\n1\r\n{`)
    const { status, kind, close } = refusalIn(await client.closed)
    assert.deepEqual({ status, kind, close }, { status: 408, kind: 'client_timeout', close: true })
  }
  assert.equal(upstream.seen.length, 0)
})

test('a client that falls silent in the middle of an upload is told so, and its attempt is aborted', async (t) => {
  const upstream = await provider(t, ({ body }) => body.then(() => {}))
  const sidecar = await startSidecar(t, upstream.url, impatient)
  const client = await rawClient(t, sidecar.port)
  client.send(`${chatHead.replace('application/json', 'audio/mpeg')}Content-Length: 10\r\n\r\nabc`)
  const seen = await upstream.request(0)
  assert.equal(await seen.closed, true)
  await assert.rejects(seen.whole)
  assert.equal(refusalIn(await client.closed).kind, 'client_timeout')
})

test('a slow body is no silence', async (t) => {
  const upstream = await provider(t, answers(200))
  const sidecar = await startSidecar(t, upstream.url, { timeouts: { clientBody: '1s' } })
  const client = await rawClient(t, sidecar.port)
  client.send(`${chatHead}Content-Length: 8\r\n\r\n`)
  let left = 8
  const drip = setInterval(() => {
    client.send('1')
    if (--left === 0) clearInterval(drip)
  }, 200)
  t.after(() => {
    clearInterval(drip)
  })
  await client.until('\r\n\r\n{}')
  assert.equal((await upstream.request(0)).body.toString(), '11111111')
})

test('a client that neither reads nor closes after a refusal is cut off', async (t) => {
  const upstream = await provider(t, answers(200))
  const sidecar = await startSidecar(t, upstream.url, { limits: { jsonBody: '1KiB' } })
  const client = await rawClient(t, sidecar.port, '127.0.0.1', true)
  client.send(`${chatHead}Content-Length: 10000000\r\n\r\n`)
  const more = setInterval(() => {
    client.send('a'.repeat(1_000))
  }, 20)
  t.after(() => {
    clearInterval(more)
  })
  const text = await client.closed
  assert.equal(repliesIn(text)[0]?.status, 413)
})
