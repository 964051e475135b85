import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { breaksAfter, chatEvents } from '../fixtures/brokenStreams.ts'
import { answers, chat, sse, sseBytes, type Step } from '../fixtures/provider.ts'
import type { Document, Sidecar } from '../fixtures/startSidecar.ts'
import { ask, askedOf, startUpstreams, type Told } from '../fixtures/startUpstreams.ts'

/** Longer than the client of these tests waits, and so much that no load of this machine is mistaken for it. */
const slowMs = 1_500
const hurried = { 'x-stainless-timeout': '1' }
const patient = { 'x-stainless-timeout': '60' }
const failure = answers(500, { error: { message: 'broken' } })

const late =
  (step: Step): Step =>
  async (exchange) => {
    await exchange.body
    await new Promise((passed) => setTimeout(passed, slowMs))
    await step(exchange)
  }

/** By what the body says. */
const byModel =
  (steps: Readonly<Record<string, Step>>): Step =>
  async (exchange) => {
    const { model } = JSON.parse((await exchange.body).toString()) as { model: string }
    await (steps[model] ?? failure)(exchange)
  }

/** The first fails each call; what the second usually takes is known. The two seconds that are wanted at least are out of the way. */
async function failing(
  t: TestContext,
  steps: readonly [Step, Step],
  { known = [{}], document = {}, own = [] }: { known?: readonly object[]; document?: Document; own?: readonly Document[] } = {},
) {
  const common = {
    retry: { attempts: 2, backoff: '1ms', throttledBackoff: '1ms', leastLeft: '0s' },
    health: { failures: 1_000, minimumCalls: 1_000 },
    routing: { overrides: { upstreams: ['b'] } },
  }
  const started = await startUpstreams(t, steps, { ...common, ...document }, own)
  const { sidecar } = started
  const learnt = known.flatMap((body) => Array.from({ length: 10 }, () => ask(sidecar, body, { 'x-outrider-upstream': 'b' })))
  for (const { status } of await Promise.all(learnt)) assert.equal(status, 200)
  return { ...started, atB: () => (askedOf(started.providers)[1] ?? 0) - learnt.length }
}

const tooLate = /^outrider_retries_refused_total\{reason="deadline"\} 1$/m
const metricsOf = async ({ adminUrl }: Sidecar): Promise<string> => (await fetch(`${adminUrl}/metrics`)).text()

const why = ({ headers }: Told): string | null => headers.get('x-outrider-not-repeated')

test('a call is not tried again at an upstream that usually answers when the client has left, and is where there is time', async (t) => {
  const { sidecar, atB, providers } = await failing(t, [failure, late(chat('b'))])
  // The one that has failed fails soon, and may be asked again.
  const told = await ask(sidecar, {}, hurried)
  assert.deepEqual([told.status, why(told), atB(), providers[0]?.seen.length], [500, 'attempts', 0, 2])
  const other = await ask(sidecar, {}, patient)
  assert.deepEqual([other.status, why(other), atB()], [200, null, 1])
})

test('where no other would do, that it is too late for it is said', async (t) => {
  const { sidecar, atB } = await failing(t, [answers(401, { error: { message: 'who?' } }), late(chat('b'))])
  const told = await ask(sidecar, {}, hurried)
  assert.deepEqual([told.status, why(told), atB()], [401, 'deadline', 0])
})

test('a model of which nothing is known there is tried', async (t) => {
  const { sidecar, atB } = await failing(t, [failure, byModel({ m: late(chat('b')), quick: chat('b') })])
  assert.equal((await ask(sidecar, { model: 'quick' }, hurried)).status, 200)
  assert.equal(atB(), 1)
})

const own = [{ models: ['m'] }, { models: ['slow', 'quick'] }]

test('a fallback that usually answers too late is passed over for one that does not', async (t) => {
  const routes = [{ name: 'm', models: ['m'], fallbacks: [{ model: 'slow' }, { model: 'quick' }] }]
  const { sidecar, atB } = await failing(t, [failure, byModel({ slow: late(chat('slow')), quick: chat('quick') })], {
    known: [{ model: 'slow' }, { model: 'quick' }],
    document: { routes },
    own,
  })
  const told = await ask(sidecar, {}, hurried)
  assert.deepEqual([told.status, told.headers.get('x-outrider-model')], [200, 'quick'])
  const other = await ask(sidecar, {}, patient)
  assert.deepEqual([other.status, other.headers.get('x-outrider-model'), atB()], [200, 'slow', 2])
})

test('and with no other, the answer that there is passes as it came', async (t) => {
  const routes = [{ name: 'm', models: ['m'], fallbacks: [{ model: 'slow' }] }]
  const step = byModel({ slow: late(chat('slow')) })
  const { sidecar } = await failing(t, [failure, step], { known: [{ model: 'slow' }], document: { routes }, own })
  const told = await ask(sidecar, {}, hurried)
  assert.equal(told.status, 500)
  assert.match(told.text, /broken/)
  assert.match(await metricsOf(sidecar), tooLate)
})

test('a stream that breaks off is not resumed at an upstream that usually begins when its time is up', async (t) => {
  const stream = { stream: true, messages: [{ role: 'user', content: 'hi' }] }
  const words = ['one ', 'two ', 'three']
  // When the first one breaks off, a second and a half is left: less than the other usually takes to begin.
  const timeouts = { streamTotal: '2500ms' }
  const cut = breaksAfter(...chatEvents(words.slice(0, 1), { id: 'a', finish: false }))
  const lateCut: Step = async (exchange) => {
    await new Promise((passed) => setTimeout(passed, 1_100))
    await cut(exchange)
  }
  const whole = sseBytes(...chatEvents(words, { id: 'b' }))
  const quick = await failing(t, [lateCut, whole], { known: [stream], document: { timeouts } })
  const resumed = await ask(quick.sidecar, stream)
  assert.match(resumed.text, /: resumed by b/)
  assert.equal(quick.atB(), 1)

  const slow = await failing(t, [lateCut, late(whole)], { known: [stream], document: { timeouts } })
  // Such a client is not repeated for at the one that broke off, which would be in time.
  const broken = await ask(slow.sidecar, stream, { 'x-stainless-retry-count': '1' })
  assert.doesNotMatch(broken.text, /resumed/)
  assert.match(await metricsOf(slow.sidecar), tooLate)
  assert.equal(slow.atB(), 0)
})

test('nor is it where less than retry.leastLeft is left, however quick the other usually is', async (t) => {
  const stream = { stream: true, messages: [{ role: 'user', content: 'hi' }] }
  const cut = breaksAfter(...chatEvents(['one '], { id: 'a', finish: false }))
  const lateCut: Step = async (exchange) => {
    await new Promise((passed) => setTimeout(passed, 1_100))
    await cut(exchange)
  }
  const whole = sseBytes(...chatEvents(['one ', 'two'], { id: 'b' }))
  const timeouts = { streamTotal: '60s' }
  const settings = (leastLeft: string) => ({ timeouts, retry: { attempts: 2, leastLeft } })
  const some = await startUpstreams(t, [lateCut, whole], settings('10s'))
  assert.match((await ask(some.sidecar, stream)).text, /: resumed by b/)

  const none = await startUpstreams(t, [lateCut, whole], settings('59s'))
  const broken = await ask(none.sidecar, stream)
  assert.match(broken.text, /too little time was left/)
  assert.deepEqual(askedOf(none.providers), [1, 0])
  assert.match(await metricsOf(none.sidecar), tooLate)
})

test('nor is another model asked then', async (t) => {
  const routes = [{ name: 'm', models: ['m'], fallbacks: [{ model: 'quick' }] }]
  const lateFailure: Step = async (exchange) => {
    await new Promise((passed) => setTimeout(passed, 1_100))
    await failure(exchange)
  }
  const step = byModel({ m: lateFailure, quick: chat('quick') })
  const settings = (leastLeft: string) => ({ routes, timeouts: { total: '60s' }, retry: { attempts: 2, leastLeft } })
  const some = await startUpstreams(t, [step], settings('10s'))
  assert.equal((await ask(some.sidecar)).headers.get('x-outrider-model'), 'quick')

  const none = await startUpstreams(t, [step], settings('59s'))
  assert.deepEqual([(await ask(none.sidecar)).status, askedOf(none.providers)], [500, [1]])
  assert.match(await metricsOf(none.sidecar), tooLate)
})

test('though too little time is left to give one up for another, an answer that is none is still replaced by one', async (t) => {
  const says = { choices: [{ index: 0, delta: { content: 'b' }, finish_reason: 'stop' }] }
  const { sidecar } = await startUpstreams(t, [answers(200, { error: { message: 'broken' } }), sse(says, '[DONE]')])
  const told = await ask(sidecar, { stream: true }, { 'x-stainless-timeout': '10' })
  assert.deepEqual([told.status, told.headers.get('x-outrider-upstream')], [200, 'b'])
})
