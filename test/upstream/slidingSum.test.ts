import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { slidingSum } from '../../sidecar/proxy/upstream/slidingSum.ts'

test('what was added counts for as long as the window, give or take one slot of it', () => {
  const steps = fc.array(fc.tuple(fc.nat(30_000), fc.nat(100)), { maxLength: 60 })
  fc.assert(
    fc.property(steps, fc.nat(100_000), (all, start) => {
      const sliding = slidingSum(60_000, 12)
      const added: { at: number; amount: number }[] = []
      let now = start
      for (const [later, amount] of all) {
        now += later
        sliding.add(amount, now)
        added.push({ at: now, amount })
        const within = (ms: number): number => added.reduce((sum, one) => sum + (one.at > now - ms ? one.amount : 0), 0)
        const sum = sliding.sum(now)
        assert.ok(sum >= within(55_000) && sum <= within(60_000 + 1), `${within(55_000)} <= ${sum} <= ${within(60_001)}`)
      }
      assert.equal(sliding.sum(now + 60_000), 0)
    }),
    { numRuns: 2_000 },
  )
})
