import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Plan } from '../../sidecar/proxy/plan.ts'
import { budget } from '../../sidecar/proxy/upstream/budget.ts'
import type { Candidate } from '../../sidecar/proxy/upstream/candidate.ts'
import { choice } from '../../sidecar/proxy/upstream/choice.ts'
import { openHost, openStanding } from '../../sidecar/proxy/upstream/standing.ts'
import { roundRobin } from '../../sidecar/proxy/upstream/strategies/roundRobin.ts'

const now = 1_000

function candidate(name: string, weight: number, models?: readonly string[]): Candidate {
  const options = { upstream: name, numbers: {}, random: () => 0.5, changed: () => {} }
  const standing = openStanding(openHost(options), '', () => undefined, options)
  const serves = (model: string): boolean => models?.includes(model) ?? true
  return { upstream: name, credential: '', account: name, tier: 1, weight, connections: 1_000, continues: 'off', serves, standing }
}

function eject({ standing }: Candidate): void {
  for (let n = 0; n < 5; n++) {
    const visit = standing.began('m', 0, 0)
    standing.ended(visit, { outcome: 'server', what: 'status 500', hintMs: undefined, now: 0, mayEject: () => true })
  }
  assert.equal(standing.usable('m', now), false)
}

function plan(tiers: readonly (readonly Candidate[])[], over: Partial<Plan>): Plan {
  const none = { least: 0, share: 0 }
  return {
    route: {
      name: 'default',
      serves: () => true,
      tiers,
      alone: false,
      mostEjected: 0.5,
      strategy: roundRobin(),
      affinity: [],
      affinityLoad: 1.25,
      budget: budget({ concurrent: none, rate: none, tokens: none }),
      fallbacks: [],
      resume: 'error',
      onTrial: undefined,
      split: undefined,
    },
    model: 'm',
    only: undefined,
    home: undefined,
    side: undefined,
    affinity: 0,
    tokens: 100,
    mostAttempts: 3,
    tried: [],
    unreachable: [],
    fallbacks: [],
    needs: undefined,
    repeatable: undefined,
    next: undefined,
    patienceMs: 0,
    panic: false,
    outcome: 'good',
    again: 'none',
    hintMs: undefined,
    visit: undefined,
    begun: false,
    price: 0,
    ...over,
  }
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
