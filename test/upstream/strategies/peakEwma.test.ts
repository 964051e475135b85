import assert from 'node:assert/strict'
import { test } from 'node:test'
import { peakEwma } from '../../../sidecar/proxy/upstream/strategies/peakEwma.ts'
import type { Strategy } from '../../../sidecar/proxy/upstream/strategies/strategy.ts'
import { candidate, seeded, type Counted } from './candidates.ts'

const tokens = 2_000

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
      tokens,
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
        strategy.observe(one, failed ? { kind: 'failed', hintMs: undefined } : { kind: 'answered', firstByteMs: took }, at)
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
  strategy.observe(slow, { kind: 'answered', firstByteMs: 30_000 }, 0)
  for (const one of [usual, other]) strategy.observe(one, { kind: 'answered', firstByteMs: 1_000 }, 0)
  const chosen = (now: number): string[] => Array.from({ length: 60 }, () => strategy.choose([slow, usual, other], tokens, now)?.name ?? '')
  assert.ok(!chosen(1_000).includes('slow'))
  assert.ok(!chosen(30_000).includes('slow'))
  const later = chosen(200_000).filter((name) => name === 'slow').length
  assert.ok(later >= 15 && later <= 25, `${later} of 60`)
})

test('a hint is held against the one that gave it for longer than a failure without', () => {
  const after = (hintMs: number | undefined): number => {
    const strategy = peakEwma({ random: seeded(8) })
    const [bad, good] = [candidate('bad'), candidate('good')]
    for (const one of [bad, good]) strategy.observe(one, { kind: 'answered', firstByteMs: 1_000 }, 0)
    strategy.observe(bad, { kind: 'failed', hintMs }, 0)
    for (let now = 0; now < 600_000; now += 1_000) if (strategy.choose([bad, good], tokens, now) === bad) return now
    return Infinity
  }
  assert.ok(after(undefined) > 10_000 && after(undefined) < 60_000, String(after(undefined)))
  assert.ok(after(120_000) > after(undefined))
  assert.ok(after(1e12) < 600_000, 'a hint of years is no exile')
})

test('a wait that was given up counts as at least that long', () => {
  const strategy = peakEwma({ random: seeded(9) })
  const [hangs, good] = [candidate('hangs'), candidate('good')]
  for (const one of [hangs, good]) strategy.observe(one, { kind: 'answered', firstByteMs: 1_000 }, 0)
  strategy.observe(good, { kind: 'abandoned', waitedMs: 50 }, 0)
  strategy.observe(hangs, { kind: 'abandoned', waitedMs: 20_000 }, 0)
  for (let n = 0; n < 20; n++) assert.equal(strategy.choose([hangs, good], tokens, 1_000)?.name, 'good')
})

test('tokens in flight count, not calls', () => {
  const strategy = peakEwma({ random: seeded(10) })
  const candidates = [
    candidate('one large', { inFlight: 1, outstandingTokens: 200_000 }),
    candidate('many small', { inFlight: 20, outstandingTokens: 1_000 }),
  ]
  assert.equal(strategy.choose(candidates, tokens, 0)?.name, 'many small')
})
