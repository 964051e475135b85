import assert from 'node:assert/strict'
import { test } from 'node:test'
import { nextStep, type Go, type StepOptions, type Wait } from '../../sidecar/proxy/layers/nextStep.ts'
import { retryWaits } from '../../sidecar/proxy/retryWaits.ts'
import type { Outcome } from '../../sidecar/proxy/llm/outcome.ts'
import { aCall } from '../fixtures/calls.ts'
import { handClock, type HandClock } from '../fixtures/handClock.ts'
import { candidate, plan } from '../fixtures/plans.ts'
import { usual } from '../fixtures/usual.ts'

interface At {
  readonly outcome?: Outcome
  readonly attempts?: number
  readonly chance?: number
  readonly beganMs?: number
}

/** What comes after an attempt that has just failed at the only upstream there is. */
function after({ outcome = 'server', attempts = 1, chance = 1, beganMs = 0 }: At): Go | Wait | string {
  const only = candidate('a', 1)
  const clock = handClock()
  const failed = plan([[only]], { outcome, again: 'either', mostAttempts: 10, tried: [only], repeatable: [only] })
  const call = aCall({ facts: { attempts, beganMs: clock.now() + beganMs, operation: 'chat', model: 'm' } })
  return nextStep(call, failed, 0, optionsBy(clock, chance))
}

/** What the usual config says, but for streams. */
const optionsBy = (clock: HandClock, chance: number): StepOptions => ({
  ...retryWaits(usual),
  streamTotalMs: 600_000,
  clock,
  random: () => chance,
})

const waitAfter = (at: At): number | undefined => {
  const step = after(at)
  return typeof step !== 'string' && 'waitMs' in step ? step.waitMs : undefined
}

test('the wait before the same upstream is asked again doubles from a quarter of a second up to eight', () => {
  const waits = [1, 2, 3, 4, 5, 6, 7, 9].map((attempts) => waitAfter({ attempts }))
  assert.deepEqual(waits, [250, 500, 1_000, 2_000, 4_000, 8_000, 8_000, 8_000])
})

test('from a second up where it said that it has too much to do', () => {
  for (const outcome of ['overloaded', 'saturated', 'rate_limited'] as const) {
    assert.deepEqual(
      [1, 2, 5].map((attempts) => waitAfter({ outcome, attempts })),
      [1_000, 2_000, 8_000],
    )
  }
})

test('it is drawn from all between nothing and that, so that those who failed together do not come back together', () => {
  assert.deepEqual(
    [0.75, 0.5, 0.01].map((chance) => waitAfter({ chance, attempts: 3 })),
    [750, 500, 10],
  )
})

test('no attempt is begun, and none is waited for, of which less than two seconds would be left', () => {
  assert.equal(after({ beganMs: -598_500 }), 'deadline')
  assert.equal(after({ beganMs: -597_000, attempts: 4 }), 'deadline')
  assert.equal(waitAfter({ beganMs: -597_000, attempts: 2 }), 500)
})

/** What a call does for which the only upstream, over its limit, is to be asked in ten seconds. */
function whileLimited(own: Partial<StepOptions>, over: Parameters<typeof plan>[1] = {}): Go | Wait | string {
  const only = candidate('a', 1)
  const clock = handClock()
  const visit = only.standing.began('m', 0, clock.now())
  only.standing.ended(visit, { outcome: 'rate_limited', what: 'status 429', hintMs: 10_000, now: clock.now(), mayEject: undefined })
  const failed = plan([[only]], {
    outcome: 'rate_limited',
    again: 'either',
    tried: [only],
    repeatable: [only],
    patienceMs: 60_000,
    ...over,
  })
  const call = aCall({ facts: { attempts: 1, beganMs: clock.now(), operation: 'chat', model: 'm' } })
  return nextStep(call, failed, 0, { ...optionsBy(clock, 1), ...own })
}

test('spread says over how much of the wait those come who waited for the same', () => {
  assert.deepEqual(whileLimited({}), { waitMs: 12_500, patient: true })
  assert.deepEqual(whileLimited({ spread: 0.8 }), { waitMs: 18_000, patient: true })
  assert.deepEqual(whileLimited({ spread: 0 }), { waitMs: 11_000, patient: true })
})

test('no wait is begun behind which less than leastLeft would be left', () => {
  assert.deepEqual(whileLimited({ totalMs: 13_000 }), 'deadline')
  assert.deepEqual(whileLimited({ totalMs: 13_000, leastLeftMs: 500 }), { waitMs: 12_500, patient: true })
})
