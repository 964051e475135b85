import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Budget } from '../../sidecar/proxy/upstream/budget.ts'
import { budgetWith, usualBudget } from '../fixtures/usual.ts'

const busy = (one: Budget, calls: number, tokens = 100, now = 0): void => {
  for (let n = 0; n < calls; n++) one.began(tokens, now)
}
/** How many in a row are allowed, each of which ends before the next. */
const granted = (one: Budget, cost: number, now = 0): number => {
  let count = 0
  while (count < 1_000 && one.allow(cost, 100, false, now) === 'ok') {
    count++
    one.release(cost)
  }
  return count
}

test('three retries at a time, or a fifth of the calls in flight', () => {
  const one = usualBudget()
  busy(one, 1)
  for (let n = 0; n < 3; n++) assert.equal(one.allow(1, 100, false, 0), 'ok')
  assert.equal(one.allow(1, 100, false, 0), 'concurrency')
  one.release(1)
  assert.equal(one.allow(1, 100, false, 0), 'ok')
  busy(one, 19)
  assert.equal(one.allow(1, 100, false, 0), 'ok')
  assert.equal(one.allow(1, 100, false, 0), 'concurrency')
  for (let n = 0; n < 10; n++) one.ended()
  assert.equal(one.allow(1, 100, false, 0), 'concurrency')
})

test('ten a minute, and one for every five calls', () => {
  const one = usualBudget()
  busy(one, 1)
  assert.equal(granted(one, 1), 10)
  assert.equal(one.allow(1, 100, false, 0), 'rate')
  busy(one, 100)
  assert.equal(granted(one, 1), 20)
})

test('what may have been billed is charged twice', () => {
  const one = usualBudget()
  busy(one, 1)
  assert.equal(granted(one, 2), 5)
})

test('a minute later the charge is forgotten, and the calls are too', () => {
  const one = usualBudget()
  busy(one, 100)
  assert.equal(granted(one, 1), 30)
  assert.equal(granted(one, 1, 66_000), 10)
})

test('what goes elsewhere after a clear refusal is not bounded here', () => {
  const one = usualBudget()
  busy(one, 1)
  assert.equal(granted(one, 0), 1_000)
  assert.equal(granted(one, 1), 10)
})

test('tokens that may be paid for twice are bounded, however few retries carry them', () => {
  const one = usualBudget()
  one.began(150_000, 0)
  assert.equal(one.allow(2, 150_000, true, 0), 'ok')
  one.release(2)
  assert.equal(one.allow(2, 60_000, true, 0), 'tokens')
  assert.equal(one.allow(2, 50_000, true, 0), 'ok')
  one.release(2)
  assert.equal(one.allow(1, 150_000, false, 0), 'ok')
  one.release(1)
  assert.equal(one.allow(2, 1, true, 200_000), 'tokens')
  assert.equal(one.allow(2, 150_000, true, 310_000), 'ok')
})

test('of many tokens sent a tenth may be sent again', () => {
  const one = usualBudget()
  busy(one, 50, 100_000)
  assert.equal(one.allow(2, 500_000, true, 0), 'ok')
  assert.equal(one.allow(2, 1, true, 0), 'tokens')
})

test('a refusal costs nothing', () => {
  const one = usualBudget()
  busy(one, 1)
  for (let n = 0; n < 100; n++) assert.equal(one.allow(2, 300_000, true, 0), 'tokens')
  assert.equal(granted(one, 1), 10)
})

test('rateWindow says how long calls and repeats are remembered', async () => {
  const one = await budgetWith({ rateWindow: '6s' })
  busy(one, 100)
  assert.equal(granted(one, 1), 30)
  assert.equal(granted(one, 1, 5_000), 0)
  assert.equal(granted(one, 1, 6_600), 10)
})

test('tokensWindow says how long tokens are', async () => {
  const one = await budgetWith({ tokensWindow: '10s' })
  one.began(200_000, 0)
  assert.equal(one.allow(1, 200_000, true, 0), 'ok')
  one.release(1)
  assert.equal(one.allow(1, 1, true, 9_000), 'tokens')
  assert.equal(one.allow(1, 200_000, true, 10_400), 'ok')
})

test('unanswered says for how many a repeat counts where the attempt before brought no whole answer', async () => {
  for (const [unanswered, times] of [
    [1, 10],
    [5, 2],
    [11, 0],
  ] as const) {
    const one = await budgetWith({ unanswered })
    busy(one, 1)
    assert.equal(granted(one, 2), times)
    assert.equal(granted(await budgetWith({ unanswered }), 1), 10)
  }
})

test('whatever fails, a minute sees no more retries than ten and a fifth of its calls', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(500), fc.nat(4), fc.constantFrom(1, 2)), { maxLength: 400 }), (steps) => {
      const one = usualBudget()
      const retries: { at: number; cost: number }[] = []
      const calls: number[] = []
      let now = 0
      for (const [later, times, cost] of steps) {
        now += later
        one.began(10, now)
        calls.push(now)
        for (let n = 0; n < times; n++) {
          if (one.allow(cost, 10, false, now) !== 'ok') continue
          retries.push({ at: now, cost })
          one.release(cost)
        }
        one.ended()
        const spent = retries.reduce((sum, { at, cost: price }) => sum + (at > now - 55_000 ? price : 0), 0)
        const begun = calls.filter((at) => at > now - 60_001).length
        assert.ok(spent <= 10 + 0.2 * begun)
      }
    }),
    { numRuns: 300 },
  )
})
