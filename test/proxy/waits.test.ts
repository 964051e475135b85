import assert from 'node:assert/strict'
import { test } from 'node:test'
import { answers, blackhole, eachCut, paced, provider, sseBytes, stall, stallAfter, stallAfterHead } from '../fixtures/provider.ts'
import { wireClient, post } from '../fixtures/wireClient.ts'
import { startByHand, startSidecar } from '../fixtures/startSidecar.ts'
import { openStream } from '../fixtures/streamClient.ts'

const json = { 'content-type': 'application/json' }
const ask = (url: string, body: unknown = {}, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(`${url}/chat/completions`, { method: 'POST', headers: { ...json, ...headers }, body: JSON.stringify(body) })
const stream = { stream: true }

/** Status and kind of an answer of ours. */
async function failure(reply: Response): Promise<string> {
  const { error } = (await reply.json()) as { error: { code: string } }
  assert.equal(reply.headers.get('x-outrider-error'), error.code)
  return `${reply.status} ${error.code}`
}

/** The kind that the last event of a broken stream names. */
function inBand(text: string): string | undefined {
  assert.doesNotMatch(text, /\[DONE\]/)
  const events = text.trimEnd().split('\n\n')
  return /^event: error\ndata: .*"outrider":\{"kind":"(\w+)"/.exec(events.at(-1) ?? '')?.[1]
}

/** After so many seconds of the client's own it has been left the time to leave, and an alarm has had its tick. */
const longer = (seconds: number): number => seconds * 1_000 + 400

test('a call for which no connection becomes free fails with pool_timeout', async (t) => {
  const upstream = await provider(t, [stall(), answers(200)])
  const sidecar = await startSidecar(t, upstream.url, { timeouts: { pool: '150ms' } }, { connections: 1 })
  const first = await wireClient(t, sidecar.port, post('{}'))
  const held = await upstream.request(0)
  const second = await ask(sidecar.url)
  assert.equal(await failure(second), '504 pool_timeout')
  assert.equal(upstream.seen.length, 1)
  first.socket.destroy()
  await held.closed
  assert.equal((await ask(sidecar.url)).status, 200)
})

test('a TLS handshake that never ends fails with connect_timeout', async (t) => {
  const upstream = await blackhole(t)
  const sidecar = await startSidecar(t, upstream.url.replace('http:', 'https:'), { timeouts: { connect: '150ms' } })
  assert.equal(await failure(await ask(sidecar.url)), '504 connect_timeout')
})

test('a proxy that never answers CONNECT fails with connect_timeout', async (t) => {
  const proxy = await blackhole(t)
  const sidecar = await startSidecar(t, 'https://model.example', { timeouts: { connect: '150ms' } }, { proxy: proxy.url })
  assert.equal(await failure(await ask(sidecar.url)), '504 connect_timeout')
})

test('a call that is no stream is ended by the total time, and the upstream is told', async (t) => {
  const upstream = await provider(t, stall())
  const sidecar = await startSidecar(t, upstream.url, { timeouts: { total: '150ms' } })
  assert.equal(await failure(await ask(sidecar.url)), '504 total_timeout')
  assert.equal(await (await upstream.request(0)).closed, true)
})

test('the total time holds for an answer that trickles for ever', async (t) => {
  const step = paced({ 'content-type': 'application/json' })
  const upstream = await provider(t, [step])
  const sidecar = await startSidecar(t, upstream.url, { timeouts: { total: '300ms' } })
  const client = await wireClient(t, sidecar.port, post('{}'))
  const trickle = setInterval(() => {
    step.sendBytes(' ').catch(() => {})
  }, 20)
  const { text, code } = await client.closed
  clearInterval(trickle)
  assert.match(text, /^HTTP\/1.1 200/)
  assert.equal(code, 'ECONNRESET')
  assert.equal((await sidecar.callLine(0))['error'], 'total_timeout')
})

eachCut('a stream that never ends is ended in-band by the total time of streams', async (t, cut) => {
  const step = paced()
  const upstream = await provider(t, [step], { cut })
  const sidecar = await startByHand(t, upstream.url, { timeouts: { streamTotal: '3s', total: '1s' } })
  const opened = openStream(t, sidecar.port)
  for (let n = 1; n <= 3; n++) {
    await step.send({ n })
    await (await opened).until(`{"n":${n}}`)
    sidecar.clock.pass(900)
  }
  const { whole } = await opened
  sidecar.clock.pass(400)
  assert.equal(inBand(await whole), 'total_timeout')
})

test('a stream whose head never comes fails with first_event_timeout, however long its total', async (t) => {
  const upstream = await provider(t, stall())
  const sidecar = await startSidecar(t, upstream.url, { timeouts: { firstEvent: '150ms' } })
  assert.equal(await failure(await ask(sidecar.url, stream)), '504 first_event_timeout')
  assert.equal(await (await upstream.request(0)).closed, true)
})

eachCut('a stream whose head is followed by nothing is still a 504', async (t, cut) => {
  const upstream = await provider(t, stallAfterHead(), { cut })
  const sidecar = await startSidecar(t, upstream.url, { timeouts: { firstEvent: '150ms' } })
  assert.equal(await failure(await ask(sidecar.url, stream)), '504 first_event_timeout')
})

eachCut('comments, blank lines and pings are no first event', async (t, cut) => {
  const step = paced()
  const upstream = await provider(t, [step], { cut })
  const sidecar = await startSidecar(t, upstream.url, { timeouts: { firstEvent: '250ms' } })
  const reply = ask(sidecar.url, stream)
  const noise = setInterval(() => {
    step.sendBytes(': waiting\n\n\n\nevent: ping\ndata: {"type":"ping"}\n\n').catch(() => {})
  }, 20)
  const kind = await failure(await reply)
  clearInterval(noise)
  assert.equal(kind, '504 first_event_timeout')
})

eachCut('a stream that falls silent ends with idle_timeout in-band', async (t, cut) => {
  const upstream = await provider(t, stallAfter('{"choices":[1]}'), { cut })
  const sidecar = await startSidecar(t, upstream.url, { timeouts: { idle: '150ms' } })
  const reply = await ask(sidecar.url, stream)
  assert.equal(reply.status, 200)
  const text = await reply.text()
  assert.match(text, /^data: \{"choices":\[1\]\}\n\n/)
  assert.equal(inBand(text), 'idle_timeout')
  assert.equal(await (await upstream.request(0)).closed, true)
})

eachCut('comments and pings do not keep a silent stream alive', async (t, cut) => {
  const step = paced()
  const upstream = await provider(t, [step], { cut })
  const sidecar = await startSidecar(t, upstream.url, { timeouts: { idle: '250ms' } })
  const reply = ask(sidecar.url, stream)
  await step.send('{"choices":[1]}')
  const noise = setInterval(() => {
    step.sendBytes(': still there\n\nevent: ping\ndata: {"type":"ping"}\n\n').catch(() => {})
  }, 20)
  const text = await (await reply).text()
  clearInterval(noise)
  assert.equal(inBand(text), 'idle_timeout')
})

test('a body that stops after its head ends in a reset, never as if it were whole', async (t) => {
  const upstream = await provider(t, stallAfterHead({ 'content-type': 'application/json' }))
  const sidecar = await startSidecar(t, upstream.url, { timeouts: { idle: '150ms' } })
  const client = await wireClient(t, sidecar.port, post('{}'))
  const { text, code } = await client.closed
  assert.match(text, /^HTTP\/1.1 200/)
  assert.equal(code, 'ECONNRESET')
  assert.equal((await sidecar.callLine(0))['error'], 'idle_timeout')
  assert.equal(await (await upstream.request(0)).closed, true)
})

test('a client that reads nothing for a while is not taken for a silent upstream', async (t) => {
  const big = Buffer.alloc(24 * 1024 * 1024, 'x')
  const upstream = await provider(t, answers(200, big, { 'content-type': 'application/octet-stream' }))
  const sidecar = await startSidecar(t, upstream.url, { timeouts: { idle: '1s' } })
  const client = await wireClient(t, sidecar.port, post('{}', '/v1/files', 'connection: close'))
  await client.until('\r\n\r\n')
  client.socket.pause()
  // What the kernels hold is soon full; then more than one bound on silence passes.
  await new Promise((done) => setTimeout(done, 2_500))
  client.socket.resume()
  await client.closed.then(({ text }) => {
    assert.ok(text.length > big.length, `only ${text.length} bytes came`)
  })
})

eachCut('X-Stainless-Timeout shortens the total of a call and the first event of a stream, not the stream', async (t, cut) => {
  const flowing = paced()
  const upstream = await provider(t, [stall(), stall(), flowing], { cut })
  const sidecar = await startByHand(t, upstream.url)
  const hurried = { 'x-stainless-timeout': '10' }
  const late = async (n: number, body: object): Promise<string> => {
    const reply = ask(sidecar.url, body, hurried)
    await upstream.request(n)
    sidecar.clock.pass(longer(10))
    return failure(await reply)
  }
  assert.equal(await late(0, {}), '504 total_timeout')
  assert.equal(await late(1, stream), '504 first_event_timeout')
  const reply = ask(sidecar.url, stream, hurried)
  await flowing.send('{"choices":[{"finish_reason":"stop"}]}')
  const flow = await reply
  sidecar.clock.pass(longer(10))
  await flowing.send('[DONE]')
  await flowing.end()
  assert.match(await flow.text(), /\[DONE\]/)
})

// openai for Python sends the timeout it has itself. Both clocks rang in the same millisecond, and one call in eighty ended as our 504
// in place of the APITimeoutError that the app was written for.
test('a client that says how long it waits is left the time to leave by itself', async (t) => {
  const upstream = await provider(t, stall())
  const sidecar = await startByHand(t, upstream.url)
  let asked = 0
  for (const name of ['x-stainless-timeout', 'x-stainless-read-timeout']) {
    for (const body of [{}, stream]) {
      const reply = ask(sidecar.url, body, { [name]: '10' })
      const seen = await upstream.request(asked++)
      sidecar.clock.pass(10_200)
      for (let n = 0; n < 3; n++) await (await fetch(`${sidecar.origin}/elsewhere`)).text()
      assert.equal(seen.aborted, false, name)
      sidecar.clock.pass(longer(0.2))
      assert.match(await failure(await reply), /^504 /)
    }
  }
})

eachCut('x-stainless-read-timeout shortens the wait for the first byte and each silence after it', async (t, cut) => {
  const upstream = await provider(
    t,
    [stall(), stall(), stallAfter('{"choices":[1]}'), stallAfterHead({ 'content-type': 'application/json' })],
    { cut },
  )
  const sidecar = await startByHand(t, upstream.url)
  const hurried = { 'x-stainless-read-timeout': '10' }
  const late = async (n: number, body: object): Promise<string> => {
    const reply = ask(sidecar.url, body, hurried)
    await upstream.request(n)
    sidecar.clock.pass(longer(10))
    return failure(await reply)
  }
  assert.equal(await late(0, {}), '504 total_timeout')
  assert.equal(await late(1, stream), '504 first_event_timeout')
  const silent = await ask(sidecar.url, stream, hurried)
  sidecar.clock.pass(longer(10))
  assert.equal(inBand(await silent.text()), 'idle_timeout')
  const client = await wireClient(t, sidecar.port, post('{}', '/v1/files', 'x-stainless-read-timeout: 10'))
  await client.until('\r\n\r\n')
  sidecar.clock.pass(longer(10))
  assert.equal((await client.closed).code, 'ECONNRESET')
})

eachCut('a stream that keeps sending is never taken for silent, nor is its first event missed', async (t, cut) => {
  const event = 'data: {"choices":[{"finish_reason":"stop"}]}\n\n'
  const upstream = await provider(t, sseBytes(event.slice(0, 20), event.slice(20), 'data: [DONE]\n\n'), { cut })
  const sidecar = await startSidecar(t, upstream.url, { timeouts: { firstEvent: '5s', idle: '5s' } })
  assert.equal(await (await ask(sidecar.url, stream)).text(), `${event}data: [DONE]\n\n`)
})
