import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { leastConnections, leastTokens } from '../../../sidecar/proxy/upstream/strategies/least.ts'
import { peakEwma } from '../../../sidecar/proxy/upstream/strategies/peakEwma.ts'
import { roundRobin } from '../../../sidecar/proxy/upstream/strategies/roundRobin.ts'
import type { Candidate, Strategy } from '../../../sidecar/proxy/upstream/strategies/strategy.ts'
import { weighted } from '../../../sidecar/proxy/upstream/strategies/weighted.ts'
import { candidate, counts, seeded } from './candidates.ts'

const all: readonly (readonly [string, () => Strategy])[] = [
  ['roundRobin', roundRobin],
  ['weighted', () => weighted(seeded(1))],
  ['leastConnections', leastConnections],
  ['leastTokens', leastTokens],
  ['peakEwma', () => peakEwma({ random: seeded(2) })],
]
const choices = 100_000
const wanted = { model: 'm', tokens: 100 }

for (const [name, make] of all) {
  for (const weights of [
    [1, 1],
    [3, 2, 1],
    [70, 20, 10],
    [0.5, 0.25],
    [1, 1, 1, 1, 1, 1, 1, 1, 1, 3],
  ]) {
    test(`${name} holds the weights ${weights.join(', ')} within one percent`, () => {
      const candidates = weights.map((weight, at) => candidate(`u${at}`, { weight }))
      const seen = counts(make(), candidates, choices)
      const sum = weights.reduce((one, other) => one + other)
      for (const [at, weight] of weights.entries()) {
        const share = (seen.get(`u${at}`) ?? 0) / choices
        assert.ok(Math.abs(share - weight / sum) < 0.01, `u${at} has ${share} in place of ${weight / sum}`)
      }
    })
  }

  test(`${name} holds any weights within one percent`, () => {
    const some = fc.array(fc.nat(100), { minLength: 1, maxLength: 12 }).filter((weights) => weights.some((weight) => weight > 0))
    fc.assert(
      fc.property(some, (weights) => {
        const candidates = weights.map((weight, at) => candidate(`u${at}`, { weight }))
        const seen = counts(make(), candidates, choices)
        const sum = weights.reduce((one, other) => one + other)
        for (const [at, weight] of weights.entries()) {
          assert.ok(Math.abs((seen.get(`u${at}`) ?? 0) / choices - weight / sum) < 0.01, `u${at} of ${weights.join()}`)
        }
      }),
      { numRuns: 20 },
    )
  })

  test(`${name} never chooses a weight of zero while another has more, whatever the load`, () => {
    const strategy = make()
    const candidates = [candidate('off', { weight: 0 }), candidate('busy', { inFlight: 90, outstandingTokens: 1e6 })]
    strategy.observe(at(candidates, 1), { kind: 'failed', hintMs: 60_000 }, 0, 'm')
    assert.deepEqual([...counts(strategy, candidates, 1_000).keys()], ['busy'])
  })

  test(`${name} takes all as equals where nobody has a weight`, () => {
    const seen = counts(make(), [candidate('a', { weight: 0 }), candidate('b', { weight: 0 })], 10_000)
    assert.ok(Math.abs((seen.get('a') ?? 0) - 5_000) < 300)
  })

  test(`${name} gives one that has just come back little, however good it looks, and not nothing`, () => {
    const strategy = make()
    const candidates = [candidate('back', { ease: 0.1 }), candidate('steady')]
    strategy.observe(at(candidates, 0), { kind: 'answered', firstByteMs: 900 }, 0, 'm')
    strategy.observe(at(candidates, 1), { kind: 'answered', firstByteMs: 1_000 }, 0, 'm')
    const share = (counts(strategy, candidates, 10_000).get('back') ?? 0) / 10_000
    assert.ok(share > 0.03 && share < 0.12, String(share))
  })

  test(`${name} chooses one of those it is shown, and none of none`, () => {
    const one = fc.record({
      weight: fc.oneof(fc.constant(0), fc.double({ min: 0.001, max: 1e6, noNaN: true })),
      inFlight: fc.nat(1_000),
      outstandingTokens: fc.nat(10_000_000),
      ease: fc.constantFrom(0.1, 0.5, 1),
    })
    const result = fc.oneof(
      fc.record({ kind: fc.constant('answered' as const), firstByteMs: fc.nat(600_000) }),
      fc.record({ kind: fc.constant('failed' as const), hintMs: fc.option(fc.nat(1e9), { nil: undefined }) }),
      fc.record({ kind: fc.constant('abandoned' as const), waitedMs: fc.nat(600_000) }),
    )
    fc.assert(
      fc.property(fc.array(one, { maxLength: 12 }), fc.array(fc.tuple(result, fc.nat(100_000)), { maxLength: 20 }), (records, results) => {
        const strategy = make()
        const candidates = records.map((record, n) => candidate(`u${n}`, record))
        let now = 0
        for (const [news, later] of results) {
          now += later
          const chosen = strategy.choose(candidates, wanted, now)
          if (chosen === undefined) return assert.equal(candidates.length, 0)
          assert.ok(candidates.includes(chosen))
          strategy.observe(chosen, news, now, 'm')
          // The others are not usable for the moment.
          const rest = candidates.filter((other) => other !== chosen)
          assert.equal(rest.length === 0, strategy.choose(rest, wanted, now) === undefined)
        }
        return undefined
      }),
      { numRuns: 500 },
    )
  })
}

test('turns are smooth: the heavy one does not come five times in a row', () => {
  const strategy = roundRobin()
  const candidates = [candidate('a', { weight: 5 }), candidate('b'), candidate('c')]
  const order = Array.from({ length: 7 }, () => strategy.choose(candidates, wanted, 0)?.name).join('')
  assert.equal(order, 'aabacaa')
})

test('the least busy for its weight is chosen, by calls or by tokens', () => {
  const candidates = [
    candidate('big', { weight: 4, inFlight: 3, outstandingTokens: 9 }),
    candidate('small', { inFlight: 1, outstandingTokens: 2 }),
  ]
  assert.equal(leastConnections().choose(candidates, wanted, 0)?.name, 'big')
  assert.equal(leastTokens().choose(candidates, wanted, 0)?.name, 'small')
})

function at(candidates: readonly Candidate[], index: number): Candidate {
  const one = candidates[index]
  assert.ok(one !== undefined)
  return one
}
