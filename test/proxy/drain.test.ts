import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { chat, deaf, eachCut, paced, provider, stall } from '../fixtures/provider.ts'
import { rawClient, repliesIn } from '../fixtures/rawClient.ts'
import { runOutrider, type Outrider } from '../fixtures/runOutrider.ts'

const body = (stream = false): string => JSON.stringify({ model: 'm', stream, messages: [{ role: 'user', content: 'hi' }] })

const ask = (outrider: Outrider, stream = false): Promise<Response> =>
  fetch(`${outrider.url}/chat/completions`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: body(stream) })

const raw = (text: string): string =>
  `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${text.length}\r\n\r\n${text}`

/** Tells the process to stop and resolves when it has heard. */
async function tell(outrider: Outrider, signal: NodeJS.Signals = 'SIGTERM'): Promise<number> {
  outrider.child.kill(signal)
  await outrider.printed('told to stop')
  return performance.now()
}

async function endsWith0(outrider: Outrider): Promise<number> {
  assert.deepEqual(await outrider.exit, { code: 0, signal: null })
  assert.equal(outrider.stderr(), '')
  return performance.now()
}

const status = async (url: string): Promise<number> => {
  const reply = await fetch(url)
  await reply.text()
  return reply.status
}

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  test(`an idle process ends with 0 about idleExit after ${signal}`, async (t) => {
    const outrider = await runOutrider(t, 'http://127.0.0.1:9', { drain: { idleExit: '400ms' } })
    const from = await tell(outrider, signal)
    const took = (await endsWith0(outrider)) - from
    assert.ok(took > 300 && took < 2_000, `${took} ms`)
  })
}

eachCut('while a stream is finished, readyz says no, livez yes, and new calls are served', async (t, cut) => {
  const stream = paced()
  const upstream = await provider(t, [stream, chat('served all the same')], { cut })
  const outrider = await runOutrider(t, upstream.url, { drain: { idleExit: '300ms' } })
  assert.equal(await status(`${outrider.adminUrl}/readyz`), 200)
  const reply = ask(outrider, true)
  await stream.send({ choices: [{ delta: { content: 'one' } }] })
  const first = await reply
  await tell(outrider)

  assert.equal(await status(`${outrider.adminUrl}/readyz`), 503)
  assert.equal(await status(`${outrider.adminUrl}/livez`), 200)
  assert.equal(await status(`${outrider.adminUrl}/startupz`), 200)
  const second = await ask(outrider)
  assert.equal(second.status, 200)
  assert.equal(second.headers.get('connection'), 'close')
  assert.match(await second.text(), /served all the same/)

  await stream.send('[DONE]')
  await stream.end()
  const text = await first.text()
  assert.match(text, /one/)
  assert.match(text, /data: \[DONE\]\n\n$/)
  assert.doesNotMatch(text, /error/)
  const ended = performance.now()
  const took = (await endsWith0(outrider)) - ended
  assert.ok(took > 200 && took < 2_000, `counted from the end of the last call: ${took} ms`)
  assert.equal(upstream.open, 0)
})

test('a kept connection is closed by its next answer, and no call is lost that was about to be sent', async (t) => {
  const stream = paced()
  const upstream = await provider(t, [chat('before'), stream, chat('after'), chat('after'), chat('after')])
  const outrider = await runOutrider(t, upstream.url, { drain: { idleExit: '0s' } })
  const kept = await rawClient(t, outrider.port)
  kept.send(raw(body()))
  await kept.until('"usage"')
  const idle = await rawClient(t, outrider.port)
  const streaming = await rawClient(t, outrider.port)
  streaming.send(raw(body(true)))
  await stream.send({ choices: [] })
  await streaming.until('choices')
  const fresh = await rawClient(t, outrider.port)
  const halfSent = await rawClient(t, outrider.port)
  const text = raw(body())
  halfSent.send(text.slice(0, 20))
  await tell(outrider)

  fresh.send(text)
  halfSent.send(text.slice(20))
  kept.send(text)
  for (const client of [fresh, halfSent, kept]) {
    const replies = repliesIn(await client.closed)
    const last = replies.at(-1)
    assert.deepEqual([last?.status, last?.header('connection')], [200, 'close'])
    assert.match(last?.body ?? '', /after/)
  }
  await stream.send('[DONE]')
  await stream.end()
  assert.match(await streaming.closed, /\[DONE\]/)
  assert.equal(await idle.closed, '', 'a connection that nobody used is closed at the end')
  await endsWith0(outrider)
})

eachCut('near the end of the grace new calls get 503 draining, and the stream that outlives it ends in band', async (t, cut) => {
  const stream = paced()
  let first = true
  const upstream = await provider(
    t,
    (exchange) => {
      const step = first ? stream : chat('still served')
      first = false
      return step(exchange)
    },
    { cut },
  )
  const outrider = await runOutrider(t, upstream.url, { drain: { grace: '2s' } })
  const reply = ask(outrider, true)
  await stream.send({ choices: [{ delta: { content: 'one' } }] })
  const streaming = await reply
  const from = await tell(outrider)
  const untilRefused = async (): Promise<Response> => {
    const next = await ask(outrider)
    if (next.status !== 200) return next
    await next.text()
    return untilRefused()
  }
  const [text, refused] = await Promise.all([streaming.text(), untilRefused()])

  assert.equal(refused.status, 503)
  assert.equal(refused.headers.get('x-outrider-error'), 'draining')
  assert.equal(refused.headers.get('retry-after'), '1')
  assert.match(text, /event: error\ndata: \{.*"kind":"draining".*\}\n\n$/)
  assert.doesNotMatch(text, /\[DONE\]/)
  const took = (await endsWith0(outrider)) - from
  assert.ok(took > 1_500 && took < 3_000, `${took} ms`)
  assert.equal(await stream.closed, true)
  const line = outrider.lines().find(({ msg, end }) => msg === 'call' && end === 'cut')
  assert.equal(line?.['error'], 'draining')
})

test('a call that waits for its head when the grace ends gets 503 draining with a hint', async (t) => {
  const upstream = await provider(t, [stall()])
  const outrider = await runOutrider(t, upstream.url, { drain: { grace: '500ms' } })
  const reply = ask(outrider)
  await upstream.request(0)
  await tell(outrider)
  const { status: code, headers } = await reply
  assert.deepEqual([code, headers.get('x-outrider-error'), headers.get('retry-after')], [503, 'draining', '1'])
  await endsWith0(outrider)
  assert.equal(upstream.seen[0]?.aborted, true)
})

eachCut('without any grace a stream still ends in band, and at once', async (t, cut) => {
  const stream = paced()
  const upstream = await provider(t, [stream], { cut })
  const outrider = await runOutrider(t, upstream.url, { drain: { grace: '0s' } })
  const reply = ask(outrider, true)
  await stream.send({ choices: [{ delta: { content: 'one' } }] })
  const first = await reply
  const from = await tell(outrider)
  assert.match(await first.text(), /event: error\ndata: .*"kind":"draining"/)
  const took = (await endsWith0(outrider)) - from
  assert.ok(took < 1_000, `${took} ms`)
})

async function stuckClient(t: TestContext, outrider: Outrider): Promise<void> {
  const client = await rawClient(t, outrider.port)
  client.send(raw(body(true)))
  await client.until('\r\n\r\n')
  client.socket.pause()
}

test('a client that does not read cannot keep the process beyond the grace', async (t) => {
  const stream = paced()
  const upstream = await provider(t, [stream])
  const outrider = await runOutrider(t, upstream.url, { drain: { grace: '600ms' } })
  const stuck = stuckClient(t, outrider)
  await stream.send({ choices: [{ delta: { content: 'x' } }] })
  await stuck
  // More than all buffers on the way hold; what does not fit waits in the provider.
  void stream.sendBytes(`data: {"choices":[{"delta":{"content":"${'x'.repeat(16_000)}"}}]}\n\n`.repeat(2_000))
  const from = await tell(outrider)
  const took = (await endsWith0(outrider)) - from
  assert.ok(took < 2_000, `${took} ms`)
})

test('a second signal ends at once', async (t) => {
  const upstream = await provider(t, [deaf()])
  const outrider = await runOutrider(t, upstream.url)
  const reply = ask(outrider).catch((err: unknown) => err)
  await upstream.request(0)
  const from = await tell(outrider)
  outrider.child.kill('SIGTERM')
  const took = (await endsWith0(outrider)) - from
  assert.ok(took < 1_000, `${took} ms`)
  assert.ok((await reply) instanceof Error)
})
