import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { adaptivePatience, fixedPatience, type Patience } from '../../sidecar/proxy/upstream/patience.ts'

const seen = (patience: Patience, times: number, ms: number): number => {
  for (let n = 0; n < times; n++) patience.observe(ms)
  return patience.current(false)
}

test('until fifty first events have been seen, a minute is waited for the next', () => {
  const patience = adaptivePatience()
  assert.equal(seen(patience, 49, 20_000), 60_000)
  assert.equal(seen(patience, 1, 20_000), 60_000)
})

test('then three times what nearly all of them took, in place of the minute', () => {
  assert.equal(seen(adaptivePatience(), 60, 8_000), 24_000)
})

test('a fast model is still given 15 seconds, and a slow one no more than two minutes', () => {
  assert.equal(seen(adaptivePatience(), 100, 50), 15_000)
  assert.equal(seen(adaptivePatience(), 100, 90_000), 120_000)
})

test('one call in two hundred that thinks long does not make everyone wait', () => {
  const patience = adaptivePatience()
  seen(patience, 199, 7_000)
  assert.equal(seen(patience, 1, 110_000), 21_000)
})

test('only the last two hundred count: a model that became faster is waited for less', () => {
  const patience = adaptivePatience()
  assert.equal(seen(patience, 200, 30_000), 90_000)
  assert.equal(seen(patience, 200, 10_000), 30_000)
})

test('whatever is observed, the wait stays within its bounds', () => {
  fc.assert(
    fc.property(fc.array(fc.double({ min: 0, max: 1e7, noNaN: true }), { maxLength: 500 }), (samples) => {
      const patience = adaptivePatience()
      for (const ms of samples) {
        patience.observe(ms)
        assert.ok(patience.current(false) >= 15_000 && patience.current(false) <= 120_000)
      }
    }),
    { numRuns: 50 },
  )
})

test('a configured wait is not moved by what is observed', () => {
  assert.equal(seen(fixedPatience(2_000), 500, 60_000), 2_000)
})
