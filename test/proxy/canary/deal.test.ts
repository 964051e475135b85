import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { deal } from '../../../sidecar/proxy/canary/deal.ts'

const calls = 100_000

test('over 100 000 calls the canary has its share within one per cent of it, whatever the weight', () => {
  fc.assert(
    fc.property(fc.double({ min: 0.01, max: 99.99, noNaN: true }), (weight) => {
      const isDealt = deal(Math.random)
      let canaries = 0
      for (let n = 0; n < calls; n++) if (isDealt(weight)) canaries++
      const due = (weight / 100) * calls
      // A hand of a hundred that is not dealt to its end may be one call off beside that.
      assert.ok(Math.abs(canaries - due) <= Math.max(1, due * 0.01), `${canaries} calls in place of ${due}`)
    }),
    { numRuns: 20 },
  )
})

test('every hundred calls have exactly their share', () => {
  const isDealt = deal(Math.random)
  for (let hand = 0; hand < 50; hand++) {
    let canaries = 0
    for (let n = 0; n < 100; n++) if (isDealt(10)) canaries++
    assert.equal(canaries, 10)
  }
})

test('no call goes to a canary without weight, and every call to one that has all of it', () => {
  const isDealt = deal(Math.random)
  for (let n = 0; n < 1_000; n++) assert.equal(isDealt(0), false)
  for (let n = 0; n < 1_000; n++) assert.equal(isDealt(100), true)
})

test('calls that alternate do not fall into step with it', () => {
  const isDealt = deal(Math.random)
  let even = 0
  for (let n = 0; n < calls; n++) if (isDealt(50) && n % 2 === 0) even++
  assert.ok(Math.abs(even - calls / 4) < calls * 0.01, `${even} of the even calls`)
})

test('another weight counts from the next call on', () => {
  const isDealt = deal(Math.random)
  for (let n = 0; n < 50; n++) isDealt(10)
  let canaries = 0
  for (let n = 0; n < 100; n++) if (isDealt(40)) canaries++
  assert.equal(canaries, 40)
})
