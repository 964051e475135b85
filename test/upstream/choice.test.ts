import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Candidate } from '../../sidecar/proxy/upstream/candidate.ts'
import { choice } from '../../sidecar/proxy/upstream/choice.ts'
import { leastConnections, leastTokens } from '../../sidecar/proxy/upstream/strategies/least.ts'
import { peakEwma } from '../../sidecar/proxy/upstream/strategies/peakEwma.ts'
import { roundRobin } from '../../sidecar/proxy/upstream/strategies/roundRobin.ts'
import type { Strategy } from '../../sidecar/proxy/upstream/strategies/strategy.ts'
import { weighted } from '../../sidecar/proxy/upstream/strategies/weighted.ts'
import { candidate, eject as ejectAt, plan } from '../fixtures/plans.ts'
import { seeded } from './strategies/candidates.ts'

const now = 1_000

function eject(one: Candidate): void {
  ejectAt(one)
  assert.equal(one.standing.usable('m', now), false)
}

const weights = fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 2, maxLength: 6 })
const keys = fc.array(fc.integer({ min: 1, max: 2 ** 32 - 1 }), { minLength: 1, maxLength: 100 })

test('whichever are ejected, their keys move to one that can be used, and no other key moves', () => {
  fc.assert(
    fc.property(weights, keys, fc.nat(62), (all, some, mask) => {
      const tier = all.map((weight, n) => candidate(`u${n}`, weight))
      const homes = some.map((affinity) => choice(plan([tier], { affinity }), now))
      const gone = new Set(tier.filter((_one, n) => n > 0 && (mask >> n) & 1))
      for (const one of gone) eject(one)
      for (const [at, affinity] of some.entries()) {
        const chosen = choice(plan([tier], { affinity }), now)
        const before = homes[at]
        assert.ok(before !== undefined && chosen !== undefined && !gone.has(chosen))
        if (!gone.has(before)) assert.equal(chosen, before)
      }
    }),
  )
})

test('affinity holds within the lowest tier that can be used, and after it in the next', () => {
  fc.assert(
    fc.property(weights, weights, keys, (first, second, some) => {
      const tiers = [first.map((weight, n) => candidate(`a${n}`, weight)), second.map((weight, n) => candidate(`b${n}`, weight))] as const
      const among = (affinity: number): Candidate | undefined => choice(plan(tiers, { affinity }), now)
      for (const affinity of some) assert.ok(tiers[0].some((one) => one === among(affinity)))
      for (const one of tiers[0]) eject(one)
      for (const affinity of some) assert.ok(tiers[1].some((one) => one === among(affinity)) && among(affinity) === among(affinity))
    }),
  )
})

test('a call with a home goes there or nowhere, whatever else could be used', () => {
  fc.assert(
    fc.property(weights, fc.nat(5), fc.boolean(), fc.nat(2 ** 32 - 1), (all, at, ill, affinity) => {
      const tier = all.map((weight, n) => candidate(`u${n}`, weight - 1))
      const own = tier[at % tier.length] ?? candidate('none', 1)
      const home = { candidate: own, id: 'resp_1', known: true }
      if (ill) eject(own)
      assert.equal(choice(plan([tier], { home, affinity }), now), ill ? undefined : own)
      assert.equal(choice(plan([tier], { home, affinity, tried: [own] }), now), undefined)
    }),
  )
})

test('affinity goes to nobody who does not have the model, or who is full', () => {
  fc.assert(
    fc.property(weights, keys, (all, some) => {
      const tier = all.map((weight, n) => candidate(`u${n}`, weight, n === 0 ? undefined : ['other']))
      for (const affinity of some) assert.equal(choice(plan([tier], { affinity }), now), tier[0])
      const full = all.map((weight, n) => ({ ...candidate(`u${n}`, weight), connections: n === 0 ? 1 : 0 }))
      for (const affinity of some) assert.equal(choice(plan([full], { affinity }), now), full[0])
    }),
  )
})

const strategies: readonly (readonly [string, () => Strategy])[] = [
  ['round_robin', roundRobin],
  ['weighted', () => weighted(seeded(1))],
  ['least_connections', leastConnections],
  ['least_tokens', leastTokens],
  ['peak_ewma', () => peakEwma({ random: seeded(2) })],
]

for (const [name, make] of strategies) {
  test(`${name} is never shown one that is ejected while another of the tier can be used, nor a tier behind it`, () => {
    const load = fc.record({
      weight: fc.integer({ min: 1, max: 9 }),
      ejected: fc.boolean(),
      inFlight: fc.nat(20),
      firstByteMs: fc.nat(60_000),
    })
    const tier = fc.array(load, { minLength: 1, maxLength: 10 })
    fc.assert(
      fc.property(tier, tier, (...loads) => {
        const strategy = make()
        const tiers = loads.map((some, n) =>
          some.map(({ weight, ejected, inFlight, firstByteMs }, at) => {
            const one = candidate(`${n}-${at}`, weight)
            // The ejected one has been the fastest, and has nothing to do: it looks better than all others.
            strategy.observe(one.standing, { kind: 'answered', firstByteMs: ejected ? 1 : firstByteMs }, 0, 'm')
            for (let call = 0; call < (ejected ? 0 : inFlight); call++) one.standing.began('m', 100, 0)
            if (ejected) eject(one)
            return one
          }),
        )
        const { route } = plan(tiers, {})
        const first = tiers.find((all) => all.some(({ standing }) => standing.usable('m', now)))
        for (let n = 0; n < 20; n++) {
          const chosen = choice(plan(tiers, { route: { ...route, strategy } }), now)
          if (first === undefined || chosen === undefined) return assert.equal(chosen, first)
          assert.ok(first.includes(chosen) && chosen.standing.usable('m', now), chosen.upstream)
          chosen.standing.began('m', 100, now)
        }
        return undefined
      }),
    )
  })
}
