import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import timers from 'node:timers/promises'
import { chat, deaf, eachCut, paced, provider, stall } from '../fixtures/provider.ts'
import { rawClient, repliesIn } from '../fixtures/rawClient.ts'
import { runOutrider, type Outrider } from '../fixtures/runOutrider.ts'
import { startByHand, type HandSidecar } from '../fixtures/startSidecar.ts'

const body = (stream = false): string => JSON.stringify({ model: 'm', stream, messages: [{ role: 'user', content: 'hi' }] })

const ask = (outrider: Pick<Outrider, 'url'>, stream = false): Promise<Response> =>
  fetch(`${outrider.url}/chat/completions`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: body(stream) })

const raw = (text: string): string =>
  `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${text.length}\r\n\r\n${text}`

/** Tells the process to stop and resolves when it has heard. */
async function tell(outrider: Outrider, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
  outrider.child.kill(signal)
  await outrider.printed('told to stop')
}

async function endsWith0(outrider: Outrider): Promise<void> {
  assert.deepEqual(await outrider.exit, { code: 0, signal: null })
  assert.equal(outrider.stderr(), '')
}

/** Tells a sidecar whose time is ours to stop; the answer lets time pass and says whether it has stopped by then. */
function drained({ proxy, clock }: Pick<HandSidecar, 'proxy' | 'clock'>): (ms: number) => Promise<boolean> {
  let over = false
  const told = proxy.drain().then(() => {
    over = true
  })
  return async (ms) => {
    clock.pass(ms)
    // What has begun to stop does so without any more time.
    for (let turn = 0; turn < 10 && !over; turn++) await Promise.race([told, timers.setImmediate()])
    return over
  }
}

const status = async (url: string): Promise<number> => {
  const reply = await fetch(url)
  await reply.text()
  return reply.status
}

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  test(`an idle process ends with 0 after ${signal}`, async (t) => {
    const outrider = await runOutrider(t, 'http://127.0.0.1:9', { drain: { idleExit: '100ms' } })
    await tell(outrider, signal)
    await endsWith0(outrider)
    assert.match(outrider.stdout(), /nothing is in flight any more: stopping/)
  })
}

test('an idle sidecar waits for idleExit, and that again after each call', async (t) => {
  const upstream = await provider(t, [chat('first'), chat('second')])
  const sidecar = await startByHand(t, upstream.url, { drain: { idleExit: '2s', grace: '60s' } })
  const after = drained(sidecar)
  assert.equal(await after(1_900), false)
  assert.match(await (await ask(sidecar)).text(), /first/)
  assert.equal(await after(1_900), false, 'counted from the call')
  assert.match(await (await ask(sidecar)).text(), /second/)
  assert.equal(await after(1_900), false)
  assert.equal(await after(400), true)
})

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
  await endsWith0(outrider)
  assert.match(outrider.stdout(), /"msg":"call"[^]*"msg":"call"[^]*nothing is in flight any more: stopping/)
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
  const sidecar = await startByHand(t, upstream.url, { drain: { grace: '10s' } })
  const reply = ask(sidecar, true)
  await stream.send({ choices: [{ delta: { content: 'one' } }] })
  const streaming = await reply
  const after = drained(sidecar)
  assert.equal(await after(7_800), false)
  assert.match(await (await ask(sidecar)).text(), /still served/)

  assert.equal(await after(400), false, 'two seconds are left')
  const refused = await ask(sidecar)
  assert.equal(refused.status, 503)
  assert.equal(refused.headers.get('x-outrider-error'), 'draining')
  assert.equal(refused.headers.get('retry-after'), '1')
  await refused.text()

  sidecar.clock.pass(1_000)
  const text = await streaming.text()
  assert.match(text, /event: error\ndata: \{.*"kind":"draining".*\}\n\n$/)
  assert.doesNotMatch(text, /\[DONE\]/)
  const line = await sidecar.callLine(2)
  assert.deepEqual([line['end'], line['error']], ['cut', 'draining'])
  assert.equal(await stream.closed, true)
  assert.equal(await after(200), true)
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
  const sidecar = await startByHand(t, upstream.url, { drain: { grace: '0s' } })
  const reply = ask(sidecar, true)
  await stream.send({ choices: [{ delta: { content: 'one' } }] })
  const first = await reply
  const after = drained(sidecar)
  assert.match(await first.text(), /event: error\ndata: .*"kind":"draining"/)
  assert.equal(await after(200), true)
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
  await tell(outrider)
  await endsWith0(outrider)
})

test('a second signal ends at once', async (t) => {
  const upstream = await provider(t, [deaf()])
  const outrider = await runOutrider(t, upstream.url)
  const reply = ask(outrider).catch((err: unknown) => err)
  await upstream.request(0)
  await tell(outrider)
  outrider.child.kill('SIGTERM')
  await endsWith0(outrider)
  assert.doesNotMatch(outrider.stdout(), /the grace is|nothing is in flight/)
  assert.ok((await reply) instanceof Error)
})
