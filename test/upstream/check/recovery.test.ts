import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import fc from 'fast-check'
import type { Outcome } from '../../../sidecar/proxy/llm/outcome.ts'
import type { Answer, Question } from '../../../sidecar/proxy/upstream/check/question.ts'
import type { Standing } from '../../../sidecar/proxy/upstream/standing.ts'
import { startChecks } from '../../fixtures/startChecks.ts'

/** How an upstream fails while it is away: how calls and checks come out, and how long either takes to. */
interface Outage {
  readonly outcome: Extract<Outcome, 'connect' | 'server' | 'timeout' | 'reset'>
  readonly callMs: number
  readonly answer: Answer
  readonly checkMs: number
}

const refused: Answer = { well: false, what: 'connect_failed', reached: false }
const broken: Answer = { well: false, what: 'status 502', reached: true }
const silent: Answer = { well: false, what: 'no answer within 5 s', reached: true }
const there: Answer = { well: true, what: 'status 200', reached: true }

const outages: Record<string, Outage> = {
  'refuses connections': { outcome: 'connect', callMs: 1, answer: refused, checkMs: 1 },
  'answers 502 to everything': { outcome: 'server', callMs: 300, answer: broken, checkMs: 20 },
  'says nothing': { outcome: 'timeout', callMs: 60_000, answer: silent, checkMs: 5_000 },
  'cuts every answer': { outcome: 'reset', callMs: 5_000, answer: broken, checkMs: 500 },
}

const fiveMinutes = 300_000
const wellMs = 400

interface Run extends Outage {
  readonly by: string
  readonly awayMs: number
  readonly callsEveryMs: number
  /** Of a check that goes well. */
  readonly answerMs: number
  readonly draw: () => number
}

/**
 * An upstream that is well for two minutes, away for some time, and back: the real health and the real rounds, with time turned by hand.
 * Another upstream takes what this one may not have. The answer is how long after its return the first call went to it.
 */
async function firstCallAfter(t: TestContext, run: Run): Promise<number> {
  let away = false
  const question: Question = (tell) => {
    const answer = away ? run.answer : there
    if (run.by === 'off') {
      tell(undefined)
      return () => {}
    }
    const alarm = clock.set(away ? run.checkMs : run.answerMs, () => tell(answer))
    return () => clock.clear(alarm)
  }
  const { clock, target } = await startChecks(t, 'http://127.0.0.1:1', { check: { by: run.by }, random: run.draw, question })
  const standing = target.accounts[0]?.standing as Standing
  let calls = 0
  const call = (): void => {
    const now = clock.now()
    if (!standing.usable('m', now)) return
    calls++
    const failing = away
    const visit = standing.began('m', 100, now)
    clock.set(failing ? run.callMs : wellMs, () => {
      const outcome = failing ? run.outcome : 'good'
      standing.ended(visit, { outcome, what: failing ? run.outcome : '', hintMs: undefined, now: clock.now(), mayEject: undefined })
      standing.condition.note(failing ? 'failed' : 'good', outcome, clock.now())
    })
  }
  const live = (ms: number, until = (): boolean => false): void => {
    for (let passed = 0; passed < ms && !until(); passed += run.callsEveryMs) {
      clock.pass(run.callsEveryMs)
      call()
    }
  }
  live(120_000)
  away = true
  live(run.awayMs)
  away = false
  calls = 0
  const backAt = clock.now()
  live(600_000, () => calls > 0)
  const waited = clock.now() - backAt
  clock.pass(run.callMs + wellMs)
  return waited
}

for (const [name, outage] of Object.entries(outages)) {
  test(`an upstream that ${name} for five minutes and more gets its first call within thirty seconds of its return`, async (t) => {
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          by: fc.constantFrom('auto', 'models'),
          awayMs: fc.integer({ min: fiveMinutes, max: 4 * fiveMinutes }),
          callsEveryMs: fc.integer({ min: 50, max: 1_000 }),
          answerMs: fc.integer({ min: 1, max: 4_000 }),
        }),
        fc.infiniteStream(fc.double({ min: 0, max: 0.999, noNaN: true })),
        async (run, stream) => {
          const draw = (): number => stream.next().value ?? 0
          const waited = await firstCallAfter(t, { ...outage, ...run, draw })
          assert.ok(waited <= 30_000 + run.callsEveryMs, `${waited} ms`)
        },
      ),
      { numRuns: 60 },
    )
  })
}

test('without checks it may take minutes', async (t) => {
  const outage = outages['answers 502 to everything'] as Outage
  const run = { ...outage, awayMs: 200_000, callsEveryMs: 500, answerMs: 20, draw: () => 0.5 }
  assert.ok((await firstCallAfter(t, { ...run, by: 'off' })) > 60_000)
  assert.ok((await firstCallAfter(t, { ...run, by: 'models' })) <= 30_000)
})
