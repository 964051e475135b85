import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseConfig, type Config } from '../../../sidecar/config/config.ts'
import { peakEwmaNumbers, strategies } from '../../../sidecar/proxy/upstreams.ts'
import { usual } from '../../fixtures/usual.ts'
import { peakEwma, peakEwmaDefaults, type PeakEwmaNumbers } from '../../../sidecar/proxy/upstream/strategies/peakEwma.ts'
import type { Candidate, Strategy } from '../../../sidecar/proxy/upstream/strategies/strategy.ts'
import { candidate, seeded, type Counted } from './candidates.ts'

const tokens = 2_000
const wanted = { model: 'm', tokens }

/** Calls in virtual time, ten a second, each of which goes where the strategy says and takes as long as its upstream does. */
function drive(
  strategy: Strategy,
  upstreams: readonly { one: Counted; ms: () => number; fails?: () => boolean }[],
  seconds: number,
): Map<string, number> {
  const seen = new Map(upstreams.map(({ one }) => [one.name, 0]))
  const ends: { at: number; end: () => void }[] = []
  for (let now = 0; now < seconds * 1_000; now += 100) {
    for (const due of ends.filter(({ at }) => at <= now)) {
      due.end()
      ends.splice(ends.indexOf(due), 1)
    }
    const chosen = strategy.choose(
      upstreams.map(({ one }) => one),
      wanted,
      now,
    )
    const upstream = upstreams.find(({ one }) => one === chosen)
    assert.ok(upstream !== undefined)
    const { one, ms, fails } = upstream
    seen.set(one.name, (seen.get(one.name) ?? 0) + 1)
    one.inFlight++
    one.outstandingTokens += tokens
    const failed = fails?.() ?? false
    const took = failed ? 5 : ms()
    const at = now + took
    ends.push({
      at,
      end: () => {
        one.inFlight--
        one.outstandingTokens -= tokens
        strategy.observe(one, failed ? { kind: 'failed', hintMs: undefined } : { kind: 'answered', firstByteMs: took }, at, 'm')
      },
    })
  }
  return seen
}

const of = (seen: ReadonlyMap<string, number>, name: string): number => seen.get(name) ?? 0

test('an upstream that fails at once attracts no traffic', () => {
  const strategy = peakEwma({ random: seeded(3) })
  const seen = drive(
    strategy,
    [
      { one: candidate('dead'), ms: () => 5, fails: () => true },
      { one: candidate('slow'), ms: () => 1_500 },
      { one: candidate('slower'), ms: () => 2_500 },
    ],
    300,
  )
  assert.ok(of(seen, 'dead') < 0.05 * 3_000, JSON.stringify([...seen]))
})

test('nor does it among upstreams whose first byte takes longer than the penalty', () => {
  const strategy = peakEwma({ random: seeded(4) })
  const seen = drive(
    strategy,
    [
      { one: candidate('dead'), ms: () => 5, fails: () => true },
      { one: candidate('thinks'), ms: () => 20_000 },
      { one: candidate('thinks too'), ms: () => 20_000 },
    ],
    900,
  )
  assert.ok(of(seen, 'dead') < 0.15 * 9_000, JSON.stringify([...seen]))
})

test('the faster of two gets more, and the slower is not left without a call', () => {
  const random = seeded(5)
  const around = (ms: number) => (): number => ms * (0.7 + 0.6 * random())
  const seen = drive(
    peakEwma({ random }),
    [
      { one: candidate('fast'), ms: around(800) },
      { one: candidate('slow'), ms: around(3_000) },
    ],
    600,
  )
  assert.ok(of(seen, 'fast') > 0.6 * 6_000, JSON.stringify([...seen]))
  assert.ok(of(seen, 'slow') > 0.03 * 6_000, JSON.stringify([...seen]))
})

test('of more than eight, the slow ones get less as well', () => {
  const random = seeded(6)
  const upstreams = Array.from({ length: 12 }, (_, n) => ({ one: candidate(`u${n}`), ms: () => (n < 6 ? 500 : 5_000) }))
  const seen = drive(peakEwma({ random }), upstreams, 600)
  const fast = upstreams.slice(0, 6).reduce((sum, { one }) => sum + of(seen, one.name), 0)
  assert.ok(fast > 0.75 * 6_000, JSON.stringify([...seen]))
})

test('a slow one of which nothing is heard becomes usual again, not perfect', () => {
  const strategy = peakEwma({ random: seeded(7) })
  const [slow, usual, other] = [candidate('slow'), candidate('usual'), candidate('other')]
  strategy.observe(slow, { kind: 'answered', firstByteMs: 30_000 }, 0, 'm')
  for (const one of [usual, other]) strategy.observe(one, { kind: 'answered', firstByteMs: 1_000 }, 0, 'm')
  const chosen = (now: number): string[] => Array.from({ length: 60 }, () => strategy.choose([slow, usual, other], wanted, now)?.name ?? '')
  assert.ok(!chosen(1_000).includes('slow'))
  assert.ok(!chosen(30_000).includes('slow'))
  const later = chosen(200_000).filter((name) => name === 'slow').length
  assert.ok(later >= 15 && later <= 25, `${later} of 60`)
})

test('a hint is held against the one that gave it for longer than a failure without', () => {
  const after = (hintMs: number | undefined): number => {
    const strategy = peakEwma({ random: seeded(8) })
    const [bad, good] = [candidate('bad'), candidate('good')]
    for (const one of [bad, good]) strategy.observe(one, { kind: 'answered', firstByteMs: 1_000 }, 0, 'm')
    strategy.observe(bad, { kind: 'failed', hintMs }, 0, 'm')
    for (let now = 0; now < 600_000; now += 1_000) if (strategy.choose([bad, good], wanted, now) === bad) return now
    return Infinity
  }
  assert.ok(after(undefined) > 10_000 && after(undefined) < 60_000, String(after(undefined)))
  assert.ok(after(120_000) > after(undefined))
  assert.ok(after(1e12) < 600_000, 'a hint of years is no exile')
})

test('a wait that was given up counts as at least that long', () => {
  const strategy = peakEwma({ random: seeded(9) })
  const [hangs, good] = [candidate('hangs'), candidate('good')]
  for (const one of [hangs, good]) strategy.observe(one, { kind: 'answered', firstByteMs: 1_000 }, 0, 'm')
  strategy.observe(good, { kind: 'abandoned', waitedMs: 50 }, 0, 'm')
  strategy.observe(hangs, { kind: 'abandoned', waitedMs: 20_000 }, 0, 'm')
  for (let n = 0; n < 20; n++) assert.equal(strategy.choose([hangs, good], wanted, 1_000)?.name, 'good')
})

test('tokens in flight count, not calls', () => {
  const strategy = peakEwma({ random: seeded(10) })
  const candidates = [
    candidate('one large', { inFlight: 1, outstandingTokens: 200_000 }),
    candidate('many small', { inFlight: 20, outstandingTokens: 1_000 }),
  ]
  assert.equal(strategy.choose(candidates, wanted, 0)?.name, 'many small')
})

const answered = (strategy: Strategy, one: Candidate, firstByteMs: number, model = 'm', now = 0): void =>
  strategy.observe(one, { kind: 'answered', firstByteMs }, now, model)

const chosenOf = (strategy: Strategy, candidates: readonly Candidate[], now: number, model = 'm'): Map<string, number> => {
  const seen = new Map<string, number>()
  for (let n = 0; n < 60; n++) {
    const name = strategy.choose(candidates, { model, tokens }, now)?.name ?? ''
    seen.set(name, (seen.get(name) ?? 0) + 1)
  }
  return seen
}

test('what is usual in one tier is nothing to another: a fast one that is forgotten there becomes as slow as its like', () => {
  const strategy = peakEwma({ random: seeded(11) })
  const quick = [candidate('quick'), candidate('quick too')]
  const thinks = [candidate('hasty'), candidate('thinks'), candidate('thinks too')]
  for (const one of quick) answered(strategy, one, 200)
  answered(strategy, thinks[0] as Candidate, 100)
  for (const one of thinks.slice(1)) answered(strategy, one, 20_000)
  // Calls go to both tiers in turn, as over two routes of a process.
  const shares = [0, 1_000, 200_000].map((now) => {
    chosenOf(strategy, quick, now)
    return of(chosenOf(strategy, thinks, now), 'hasty')
  })
  // By the measure of the quick tier it would have stayed the fastest for ever, and slow ones would have become fast by being forgotten.
  assert.deepEqual(shares.slice(0, 2), [60, 60])
  assert.ok((shares[2] ?? 0) >= 15 && (shares[2] ?? 0) <= 25, String(shares))
})

test('nor is what is usual for one model: at the same upstreams one may be fast here and slow there', () => {
  const strategy = peakEwma({ random: seeded(12) })
  const [a, b] = [candidate('a'), candidate('b')]
  answered(strategy, a, 500, 'small')
  answered(strategy, b, 2_000, 'small')
  answered(strategy, a, 40_000, 'large')
  answered(strategy, b, 10_000, 'large')
  assert.equal(of(chosenOf(strategy, [a, b], 100, 'small'), 'a'), 60)
  assert.equal(of(chosenOf(strategy, [a, b], 100, 'large'), 'b'), 60)
})

test('who has answered long thoughts only is not slow for that: another model is asked of both alike', () => {
  const strategy = peakEwma({ random: seeded(13) })
  const [a, b] = [candidate('a'), candidate('b')]
  for (const one of [a, b]) answered(strategy, one, 800, 'quick')
  for (const one of [a, b]) answered(strategy, one, 30_000, 'thinks')
  chosenOf(strategy, [a, b], 10, 'thinks')
  // Thirty of these in a row, all at one: its first bytes of late were forty times as long as those of the other.
  for (let n = 0; n < 30; n++) answered(strategy, a, 30_000, 'thinks', 20 + n)
  for (let n = 0; n < 30; n++) answered(strategy, b, 800, 'quick', 20 + n)
  assert.deepEqual([...chosenOf(strategy, [a, b], 100, 'quick').values()], [30, 30])
})

test('models that are called in turn do not take the same turns: each comes to know every upstream', () => {
  const all = [candidate('a'), candidate('b')]
  const strategy = peakEwma({ random: seeded(1) })
  const met = new Set<string>()
  for (let n = 0; n < 4; n++) for (const model of ['x', 'y']) met.add(`${model} at ${strategy.choose(all, { model, tokens }, 0)?.name}`)
  assert.deepEqual([...met].toSorted(), ['x at a', 'x at b', 'y at a', 'y at b'])
})

test('a model of which nothing is known is asked where others were answered sooner of late than usual', () => {
  const strategy = peakEwma({ random: seeded(14) })
  const [slow, well, other] = [candidate('slow'), candidate('well'), candidate('other')]
  const all = [slow, well, other]
  for (const one of [well, other]) answered(strategy, one, 1_000, 'known')
  answered(strategy, slow, 10_000, 'known')
  chosenOf(strategy, all, 0, 'known')
  assert.equal(of(chosenOf(strategy, all, 1_000, 'new'), 'slow'), 0)
  // And no longer than that is true.
  assert.ok(of(chosenOf(strategy, all, 200_000, 'new'), 'slow') >= 15)
})

test('whoever is chosen is one whose expected first byte is nearly the least, with each upstream between what was seen and what is usual', () => {
  const seen = fc.record({ ms: fc.integer({ min: 1, max: 60_000 }), model: fc.constantFrom('a', 'b') })
  fc.assert(
    fc.property(fc.array(seen, { minLength: 2, maxLength: 8 }), fc.nat(300_000), (all, age) => {
      const strategy = peakEwma({ random: seeded(15) })
      const candidates = all.map((_one, n) => candidate(`u${n}`))
      // Each upstream serves both models, one of them twice as fast as the other.
      for (const [n, { ms }] of all.entries()) {
        answered(strategy, candidates[n] as Candidate, ms, 'a')
        answered(strategy, candidates[n] as Candidate, 2 * ms, 'b')
      }
      for (const [model, times] of [
        ['a', 1],
        ['b', 2],
      ] as const) {
        const sorted = all.map(({ ms }) => ms * times).toSorted((one, other) => one - other)
        const usualMs = sorted[(sorted.length - 1) >> 1] ?? 0
        const expected = all.map(({ ms }) => usualMs + (ms * times - usualMs) * Math.exp(-age / 20_000))
        const chosen = strategy.choose(candidates, { model, tokens }, age)
        assert.ok(chosen !== undefined)
        const is = expected[candidates.indexOf(chosen as Counted)] ?? Infinity
        assert.ok(is <= Math.min(...expected) * 1.25 * 1.0001, `${is} of ${expected.join()}`)
      }
    }),
    { numRuns: 300 },
  )
})

test('a failure with one model is held against its upstream with all of them, by the measure of each', () => {
  const after = (model: string): number => {
    const strategy = peakEwma({ random: seeded(16) })
    const [bad, good] = [candidate('bad'), candidate('good')]
    for (const one of [bad, good]) {
      answered(strategy, one, 1_000, 'quick')
      answered(strategy, one, 30_000, 'thinks')
    }
    strategy.observe(bad, { kind: 'failed', hintMs: undefined }, 0, 'thinks')
    for (let now = 0; now < 600_000; now += 500) if (strategy.choose([bad, good], { model, tokens }, now) === bad) return now
    return Infinity
  }
  // Three times what is usual for the model, or five seconds: 90 s beside 30, and 5 s beside 1.
  assert.ok(after('quick') >= 10_000 && after('quick') <= 20_000, String(after('quick')))
  assert.ok(after('thinks') >= 10_000 && after('thinks') <= 20_000, String(after('thinks')))
})

test('a client that makes up names of models does not make those forgotten that are in use', () => {
  const strategy = peakEwma({ random: seeded(17) })
  const [a, b] = [candidate('a'), candidate('b')]
  answered(strategy, a, 500, 'real')
  answered(strategy, b, 5_000, 'real')
  for (let n = 0; n < 10_000; n++) {
    answered(strategy, b, 1_000, `made-up-${n}`)
    if (n % 100 === 0) assert.equal(strategy.choose([a, b], { model: 'real', tokens }, 0), a)
  }
})

test('each number can be another', () => {
  const share = (numbers: Partial<PeakEwmaNumbers>, fill: (strategy: Strategy, all: readonly Candidate[]) => void, now = 0): number => {
    const strategy = peakEwma({ random: seeded(18), ...numbers })
    const all = [candidate('first'), candidate('second')]
    fill(strategy, all)
    return of(chosenOf(strategy, all, now), 'first')
  }
  const [first, second] = [0, 1]
  const speeds =
    (one: number, other: number) =>
    (strategy: Strategy, all: readonly Candidate[]): void => {
      answered(strategy, all[first] as Candidate, one)
      answered(strategy, all[second] as Candidate, other)
    }
  assert.equal(share({}, speeds(1_500, 1_000)), 0)
  assert.equal(share({ level: 2 }, speeds(1_500, 1_000)), 30)
  assert.equal(share({ decayMs: 1_000 }, speeds(9_000, 1_000), 10_000), 30)
  const failed =
    (hintMs?: number) =>
    (strategy: Strategy, all: readonly Candidate[]): void => {
      speeds(1_000, 1_000)(strategy, all)
      strategy.observe(all[first] as Candidate, { kind: 'failed', hintMs }, 0, 'm')
    }
  assert.equal(share({}, failed(), 10_000), 0)
  assert.equal(share({ penaltyMs: 500, penaltyTimes: 0 }, failed(), 10_000), 30)
  assert.equal(share({ penaltyTimes: 0, penaltyDecayMs: 1_000 }, failed(), 10_000), 30)
  assert.equal(share({}, failed(100_000), 20_000), 0)
  assert.equal(share({ longestPenaltyMs: 1_000, penaltyTimes: 0 }, failed(100_000), 20_000), 30)
  // Of two that are drawn, the better: with all looked at, the ninth best is never chosen.
  const many = Array.from({ length: 9 }, (_, n) => candidate(`u${n}`))
  const worst = (fullScan: number): number => {
    const strategy = peakEwma({ random: seeded(19), fullScan })
    for (const [n, one] of many.entries()) answered(strategy, one, 1_000 * 2 ** n)
    return [...chosenOf(strategy, many, 0).keys()].length
  }
  assert.equal(worst(9), 1)
  assert.ok(worst(8) > 3)
  const small = (leastTokens: number): string | undefined => {
    const strategy = peakEwma({ random: seeded(20), leastTokens })
    const [fast, slow] = [candidate('fast', { outstandingTokens: 100 }), candidate('slow')]
    answered(strategy, fast, 1_000)
    answered(strategy, slow, 1_500)
    return strategy.choose([fast, slow], { model: 'm', tokens: 10 }, 0)?.name
  }
  assert.deepEqual([small(1_000), small(1)], ['fast', 'slow'])
})

test('a config with other numbers goes on with what is known, and one with the same goes on as it was', async () => {
  const routingWith = async (numbers: object): Promise<Config['routing']> => {
    const document = { upstreams: [{ name: 'a', url: 'https://a.example/v1' }], routing: { peakEwma: numbers } }
    return (await parseConfig(JSON.stringify(document), 'x')).config.routing
  }
  const strategyOf = strategies(seeded(21))
  const before = strategyOf('peak_ewma', await routingWith({}))
  assert.equal(strategyOf('peak_ewma', await routingWith({ level: 1.25 })), before)
  const [first, second] = [candidate('first'), candidate('second')]
  answered(before, first, 1_500)
  answered(before, second, 1_000)
  assert.equal(of(chosenOf(before, [first, second], 0), 'first'), 0)
  const after = strategyOf('peak_ewma', await routingWith({ level: 2 }))
  assert.equal(of(chosenOf(after, [first, second], 0), 'first'), 30)
  const strict = strategyOf('peak_ewma', await routingWith({ level: 1.1 }))
  assert.equal(of(chosenOf(strict, [first, second], 0), 'first'), 0)
})

test('a config that says nothing of the numbers means those that are tested here', () => {
  assert.deepEqual(peakEwmaNumbers(usual.routing.peakEwma), peakEwmaDefaults)
})
