import assert from 'node:assert/strict'
import { test } from 'node:test'
import { nextStep, type Go, type Wait } from '../../sidecar/proxy/layers/nextStep.ts'
import type { Outcome } from '../../sidecar/proxy/llm/outcome.ts'
import { aCall } from '../fixtures/calls.ts'
import { handClock } from '../fixtures/handClock.ts'
import { candidate, plan } from '../fixtures/plans.ts'

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
  return nextStep(call, failed, 0, {
    clock,
    random: () => chance,
    backoffMs: 250,
    throttledBackoffMs: 1_000,
    longestBackoffMs: 8_000,
    waitBeforeFallbackMs: 2_000,
    spread: 0.25,
    leastLeftMs: 2_000,
    totalMs: 600_000,
    streamTotalMs: 600_000,
  })
}

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
