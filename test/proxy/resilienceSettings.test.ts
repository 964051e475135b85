import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { good, healthOf, isGood, upstreamsIn } from '../fixtures/failing.ts'
import { folder, replaceFile } from '../fixtures/mountedSecret.ts'
import { answers, chat, hangUp, provider, type Step } from '../fixtures/provider.ts'
import { runOutrider } from '../fixtures/runOutrider.ts'
import { ask, askedOf, served, startUpstreams } from '../fixtures/startUpstreams.ts'

// That what a config says of health, limits and repeats is what calls meet.

/** For how many seconds the first upstream was said to be out, each time. */
const timesOut = (log: string, word: string): string[] =>
  [...log.matchAll(new RegExp(`upstream a is ${word} for (\\d+\\.\\d) s`, 'g'))].map(([, seconds]) => seconds ?? '')

test('limits and ejections last as long as the config says', async (t) => {
  const limited = { longestHint: '7s', guess: '3s', longestGuess: '3s', overload: '4s', longestOverload: '4s' }
  const health = { failures: 2, ejection: '6s', ejectionJitter: 0, limited }
  for (const [word, step, seconds] of [
    ['limited', answers(429, {}, { 'retry-after': '3600' }), '7.0'],
    ['limited', answers(429), '3.0'],
    ['limited', answers(529), '4.0'],
    ['ejected', answers(500), '6.0'],
  ] as const) {
    const { sidecar } = await startUpstreams(t, [step, good], { health })
    for (let n = 0; n < 2; n++) isGood(await ask(sidecar))
    await sidecar.logged(`upstream a is ${word}`)
    assert.deepEqual(timesOut(sidecar.log(), word), [seconds])
  }
})

test('what an upstream asks for beyond longestHint, clients are not told either', async (t) => {
  const { sidecar } = await startUpstreams(t, [answers(429, {}, { 'retry-after': '3600' }), hangUp()], {
    health: { limited: { longestHint: '40s' } },
    retry: { attempts: 2 },
  })
  const [a] = upstreamsIn(await ask(sidecar))
  assert.equal(a?.state, 'limited')
  assert.ok((a?.retry_in_seconds ?? 0) > 30 && (a?.retry_in_seconds ?? 0) <= 40, String(a?.retry_in_seconds))
})

test('health.failures is also the row of failures after which /health calls an upstream unhealthy', async (t) => {
  const { sidecar } = await startUpstreams(t, [answers(500)], { health: { failures: 2 }, retry: { attempts: 1 } })
  const words: unknown[] = []
  for (let n = 0; n < 2; n++) {
    await ask(sidecar)
    words.push(((await healthOf(sidecar))[0] as { status?: string } | undefined)?.status)
  }
  assert.deepEqual(words, ['degraded', 'unhealthy'])
})

test('where a call hangs on probation, another may try after health.probation', async (t) => {
  let ill = true
  let open = 0
  const two = Promise.withResolvers<void>()
  const step: Step = async (exchange) => {
    if (ill) return answers(500)(exchange)
    if (++open === 2) two.resolve()
    await two.promise
    await good(exchange)
  }
  const health = { failures: 2, ejection: '40ms', probation: '50ms' }
  const { sidecar } = await startUpstreams(t, [step, good], { health, timeouts: { connect: '20ms' } })
  for (let n = 0; n < 2; n++) isGood(await ask(sidecar))
  ill = false
  const calls: Promise<unknown>[] = []
  for (let n = 0; n < 1_000 && open < 2; n++) {
    const asked = ask(sidecar).then((told) => isGood(told))
    calls.push(asked)
    await Promise.race([asked, new Promise((resume) => setTimeout(resume, 5))])
  }
  await Promise.all(calls)
  assert.ok(open >= 2)
})

test('a call waits for a limit rather than go to another model as long as retry.waitBeforeFallback says', async (t) => {
  for (const [waitBeforeFallback, model] of [
    ['5s', 'm'],
    ['0s', 'other'],
  ] as const) {
    const { sidecar } = await startUpstreams(t, [[answers(429, {}, { 'retry-after-ms': '100' }), chat('well')]], {
      routing: { fallbacks: [{ model: 'other' }] },
      retry: { attempts: 3, throttledBackoff: '1ms', waitBeforeFallback },
    })
    const told = await ask(sidecar)
    assert.deepEqual([told.status, told.headers.get('x-outrider-model') ?? 'm'], [200, model])
  }
})

test('with retry.leastLeft shorter, short calls are repeated too', async (t) => {
  const { sidecar } = await startUpstreams(t, [hangUp(), good], {
    timeouts: { total: '1900ms' },
    retry: { attempts: 2, leastLeft: '100ms' },
  })
  const told = await ask(sidecar)
  isGood(told)
  assert.deepEqual(served(told), ['b', '2'])
})

test('a call that its client repeats gets retry.attemptsIfRepeated, and never more than retry.attempts', async (t) => {
  for (const [attempts, attemptsIfRepeated, asked] of [
    [3, 1, [1, 0, 0]],
    [3, 2, [1, 1, 0]],
    [3, 3, [1, 1, 1]],
    [2, 3, [1, 1, 0]],
  ] as const) {
    const { sidecar, providers } = await startUpstreams(t, [hangUp(), hangUp(), hangUp()], { retry: { attempts, attemptsIfRepeated } })
    await ask(sidecar, {}, { 'x-stainless-retry-count': '1' })
    assert.deepEqual(askedOf(providers), asked)
  }
})

test('retry.budget.unanswered says for how many repeats counts what may be billed twice', async (t) => {
  for (const [unanswered, status] of [
    [1, 200],
    [2, 502],
  ] as const) {
    const { sidecar } = await startUpstreams(t, [hangUp(), good], { retry: { attempts: 3, budget: { rate: 0, leastRate: 1, unanswered } } })
    const told = await ask(sidecar)
    assert.equal(told.status, status)
    if (status === 502) assert.match(told.text, /"not_repeated":"budget_rate"/)
  }
})

test('within retry.budget.rateWindow no more repeats are made than leastRate, and behind it again', async (t) => {
  const { sidecar } = await startUpstreams(t, [answers(500), good], {
    health: { failures: 1_000_000, minimumCalls: 1_000_000 },
    retry: { attempts: 2, budget: { rate: 0, leastRate: 1, rateWindow: '1s' } },
  })
  isGood(await ask(sidecar))
  const beganMs = performance.now()
  assert.equal((await ask(sidecar)).headers.get('x-outrider-not-repeated'), 'budget_rate')
  let told = await ask(sidecar)
  while (told.status !== 200 && performance.now() - beganMs < 20_000) told = await ask(sidecar)
  isGood(told)
})

test('a reload takes the numbers up', async (t) => {
  const a = await provider(t, answers(429, {}, { 'retry-after': '3600' }))
  const b = await provider(t, hangUp())
  const c = await provider(t, chat('c'))
  const file = join(folder(t), 'outrider.json')
  const document = (own: object): object => ({
    upstreams: [a, b, c].map(({ url }, at) => ({ name: 'abc'[at], url: `${url}/v1`, credential: 'fake', tier: at + 1 })),
    ...own,
  })
  const put = (text: string): string => {
    writeFileSync(file, text)
    return file
  }
  const outrider = await runOutrider(t, a.url, { ...document({}) }, { put })
  assert.deepEqual(served(await ask(outrider)), ['c', '3'])
  await outrider.printed('upstream a is limited for 300.0 s')
  const next = { health: { limited: { longestHint: '20s' } }, retry: { attempts: 3, budget: { rate: 0, leastRate: 1 } } }
  replaceFile(file, outrider.configText({ ...document(next) }))
  await outrider.printed(/health\.limited\.longestHint: 5m → 20s/)
  assert.match((await ask(outrider)).text, /"not_repeated":"budget_rate"/)
  await outrider.printed('upstream a is limited for 20.0 s')
  assert.deepEqual(askedOf([a, b, c]), [2, 2, 1])
  replaceFile(file, outrider.configText({ ...document({ health: { longestEjection: '1s' } }) }))
  await outrider.printed(/the config is refused[^\n]*health\.longestEjection: is shorter than ejection, which is 10s unless it is set too/)
})
