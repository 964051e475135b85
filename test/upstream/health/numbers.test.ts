import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Effect } from '../../../sidecar/proxy/llm/outcome.ts'
import { health, type Health } from '../../../sidecar/proxy/upstream/health.ts'
import { healthWith, usualHealth } from '../../fixtures/usual.ts'

// That each number of health is what the config says; what the usual ones bring about is shown where health is.

const opened = async (own: object, random = 0.5): Promise<Health> => health(() => random, await healthWith(own))

function attempts(one: Health, effect: Effect, times: number, now: number, hintMs?: number): void {
  for (let n = 0; n < times; n++) one.note(one.admit(now), effect, now, { hintMs })
}

/** How long it is out after each of these limits in a row. */
function limits(one: Health, times: number, gapMs = 0): number[] {
  const waits: number[] = []
  let now = 0
  for (let n = 0; n < times; n++) {
    attempts(one, 'limited', 1, now)
    const until = one.until(now) ?? now
    waits.push(until - now)
    now = until + gapMs
    if (gapMs > 0) attempts(one, 'good', 1, now)
  }
  return waits
}

test('each number of health is a setting of its own', async () => {
  const settings: [string, object][] = [
    ['failuresInARow', { failures: 7 }],
    ['leastSuccessRate', { successRate: 0.3 }],
    ['leastAttempts', { minimumCalls: 9 }],
    ['windowMs', { window: '7s' }],
    ['ejectionMs', { ejection: '7s' }],
    ['longestEjectionMs', { longestEjection: '7m' }],
    ['ejectionJitter', { ejectionJitter: 0.3 }],
    ['forgetMs', { forgetEjection: '7s' }],
    ['longestProbeMs', { probation: '17s' }],
    ['hastenedMs', { hastened: '7s' }],
    ['slowStartMs', { slowStart: '7s' }],
    ['leastEase', { slowStartShare: 0.3 }],
    ['longestHintMs', { limited: { longestHint: '7s' } }],
    ['guessMs', { limited: { guess: '7s' } }],
    ['longestGuessMs', { limited: { longestGuess: '7s' } }],
    ['trialMs', { limited: { trial: '7s' } }],
    ['turnMs', { limited: { turn: '7s' } }],
    ['overloadMs', { limited: { overload: '3s' } }],
    ['longestOverloadMs', { limited: { longestOverload: '7s' } }],
    ['authMs', { authProbe: '7s' }],
    ['exhaustedMs', { exhausted: '7s' }],
    ['longestExhaustedMs', { longestExhausted: '7h' }],
  ]
  for (const [number, own] of settings) {
    const numbers = await healthWith(own)
    const changed = Object.entries(numbers).filter(
      ([name, value]) => Object.entries(usualHealth).find(([other]) => other === name)?.[1] !== value,
    )
    assert.deepEqual(
      changed.map(([name]) => name),
      [number],
    )
  }
  // The two others are settings of each upstream.
  assert.equal(Object.keys(usualHealth).length, settings.length + 2)
})

test('ejectionJitter 0 makes ejections exact, and 1 takes them from nothing to twice as long', async () => {
  for (const [ejectionJitter, random, ms] of [
    [0, 0, 10_000],
    [0, 0.99, 10_000],
    [1, 0.25, 5_000],
    [1, 0.75, 15_000],
  ] as const) {
    const one = await opened({ ejectionJitter }, random)
    attempts(one, 'hard', 5, 0)
    assert.equal(one.until(0), ms)
  }
})

test('forgetEjection says how long it must be in use for a doubling to be taken back', async () => {
  for (const [forgetEjection, next] of [
    ['30s', 10_000],
    ['31s', 20_000],
  ] as const) {
    const one = await opened({ forgetEjection })
    attempts(one, 'hard', 5, 0)
    attempts(one, 'good', 1, 10_000)
    attempts(one, 'hard', 5, 40_000)
    assert.equal(one.until(40_000), 40_000 + next, forgetEjection)
  }
})

test('probation says how long a call that hangs keeps the next one out', async () => {
  const one = await opened({ probation: '30s' })
  attempts(one, 'hard', 5, 0)
  one.admit(10_000)
  assert.deepEqual([one.usable(39_999), one.usable(40_000)], [false, true])
})

test('hastened says how soon an ejection is over when its host is back', async () => {
  for (const [hastened, until] of [
    ['0s', undefined],
    ['4s', 3_000],
  ] as const) {
    const one = await opened({ hastened })
    attempts(one, 'hard', 5, 0)
    one.hasten(1_000)
    assert.equal(one.until(1_000), until)
  }
})

test('slowStartShare says with how much of its share it begins', async () => {
  const one = await opened({ slowStartShare: 0.5 })
  attempts(one, 'limited', 1, 0, 1_000)
  assert.deepEqual([one.ease(1_000), one.ease(16_000), one.ease(25_000), one.ease(31_000)], [0.5, 0.5, 0.8, 1])
})

test('longestHint bounds what an upstream may ask for, and nothing that is guessed', async () => {
  const one = await opened({ limited: { longestHint: '1s' } })
  attempts(one, 'limited', 1, 0, 86_400_000)
  assert.equal(one.until(0), 1_000)
  attempts(one, 'brief', 1, 1_000, 86_400_000)
  assert.equal(one.until(1_000), 2_000)
  assert.deepEqual(limits(await opened({ limited: { longestHint: '1s' } }), 2), [2_000, 4_000])
})

test('guess and longestGuess say where the doubling begins and ends', async () => {
  assert.deepEqual(limits(await opened({ limited: { guess: '500ms', longestGuess: '3s' } }), 5), [500, 1_000, 2_000, 3_000, 3_000])
})

test('trial says when a guess is believed, and how soon a success begins the row anew', async () => {
  assert.deepEqual(limits(await opened({}), 3, 2_000), [2_000, 4_000, 8_000])
  assert.deepEqual(limits(await opened({ limited: { trial: '2s' } }), 3, 2_000), [2_000, 2_000, 2_000])
  const one = await opened({ limited: { trial: '0s' } })
  attempts(one, 'limited', 1, 0)
  assert.equal(one.usable(2_000), true)
  one.admit(2_000)
  assert.deepEqual([one.usable(2_000), one.proven(2_000)], [true, true])
})

test('turn says how often one on trial is tried', async () => {
  const one = await opened({ limited: { turn: '3s' } })
  attempts(one, 'limited', 1, 0)
  assert.equal(one.usable(2_000), true)
  one.admit(2_000)
  assert.deepEqual([one.usable(4_999), one.usable(5_000)], [false, true])
  const all = await opened({ limited: { turn: '0s' } })
  attempts(all, 'limited', 1, 0)
  assert.equal(all.usable(2_000), true)
  all.admit(2_000)
  assert.equal(all.usable(2_000), true)
})

test('overload and longestOverload say between which times that of an overload is drawn', async () => {
  for (const [random, ms] of [
    [0, 100],
    [0.5, 550],
    [1, 1_000],
  ] as const) {
    const one = await opened({ limited: { overload: '100ms', longestOverload: '1s' } }, random)
    attempts(one, 'brief', 1, 0)
    assert.equal(one.until(0), ms)
  }
})
