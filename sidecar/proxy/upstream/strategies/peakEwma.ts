import { book } from '../health/book.ts'
import { firstByteOf, learn, learnUsual, markOf, penaltyOf, type Mark, type MarkNumbers, type Marks } from './marks.ts'
import { weightOf, weighty, type Candidate, type Strategy } from './strategy.ts'
import { turns } from './turns.ts'
import { draw } from './weighted.ts'

/** Each has its reason where a config sets it. */
export interface PeakEwmaNumbers extends MarkNumbers {
  readonly leastTokens: number
  readonly level: number
  readonly fullScan: number
}

export const peakEwmaDefaults: PeakEwmaNumbers = {
  decayMs: 20_000,
  unknownMs: 1_000,
  penaltyMs: 5_000,
  penaltyDecayMs: 5_000,
  longestPenaltyMs: 300_000,
  penaltyTimes: 3,
  leastTokens: 1_000,
  level: 1.25,
  fullScan: 8,
}

export interface PeakEwmaOptions extends Partial<PeakEwmaNumbers> {
  readonly random: () => number
  /** What is known already. */
  readonly marks?: Marks
}

/** Of many, what is usual moves slowly; it is not worked out anew for every call. */
const usualForMs = 1_000

interface Moment {
  readonly tokens: number
  /** The largest weight. */
  readonly most: number
  /** What stands before a call at the busiest. */
  readonly busiest: number
  readonly usualMs: number
  readonly now: number
}

/**
 * The one from which the first byte should come soonest: how long it took lately, times the tokens that stand before it. Slowness is believed
 * quickly and forgotten slowly, towards what is usual among its like: one of which nothing is heard is neither perfect nor lost.
 */
export function peakEwma({ random, marks = new WeakMap(), ...given }: PeakEwmaOptions): Strategy {
  const numbers = { ...peakEwmaDefaults, ...given }
  const { decayMs, unknownMs, leastTokens, level, fullScan } = numbers
  // Without ease: who has just come back is held back before the turns. Each model has its own: calls of two in turn would else meet the same
  // upstreams for ever, of which one is the wrong one for each.
  const turnsOf = book(() => turns(weightOf))
  // Kept from choice to choice: an array that is emptied loses its memory.
  const costs: number[] = []
  const good: Candidate[] = []
  const held: Mark[] = []

  const learnFrom = (tier: readonly Candidate[], model: string, now: number): number => {
    let found = 0
    for (const one of tier) held[found++] = markOf(marks, one, model)
    if (held.length > found) held.length = found
    return learnUsual(held, unknownMs, now)
  }

  const costOf = (candidate: Candidate, mark: Mark, { tokens, most, busiest, usualMs, now }: Moment): number => {
    const ahead = tokens + (candidate.outstandingTokens * most) / weightOf(candidate)
    const penaltyMs = penaltyOf(mark, usualMs, now, numbers)
    const cost = firstByteOf(mark, usualMs, now, decayMs) * ahead
    // Who fails has nothing in flight for that reason, and must not look free beside those who do the work.
    return penaltyMs === 0 ? cost : cost + penaltyMs * Math.max(ahead, busiest)
  }

  const bestOf = (candidates: readonly Candidate[], model: string, moment: Moment): Candidate | undefined => {
    let least = Infinity
    for (let at = 0; at < candidates.length; at++) {
      const candidate = candidates[at]
      const mark = held[at]
      if (candidate === undefined || mark === undefined) continue
      // Who has just come back is left out now and then, however fast it is: its caches are cold, or its limit is near.
      const out = candidate.ease < 1 && random() >= candidate.ease
      const cost = out ? Infinity : costOf(candidate, mark, moment)
      costs[at] = cost
      if (cost < least) least = cost
    }
    let found = 0
    for (let at = 0; at < candidates.length; at++) {
      const candidate = candidates[at]
      if (candidate !== undefined && least < Infinity && (costs[at] ?? Infinity) <= least * level) good[found++] = candidate
    }
    if (good.length > found) good.length = found
    if (found < 2) return found === 0 ? draw(candidates, random) : good[0]
    return turnsOf.of(model)(good)
  }

  return {
    choose: (all, { model, tokens }, now) => {
      const candidates = weighty(all)
      if (candidates.length < 2) return candidates[0]
      const least = Math.max(tokens, leastTokens)
      if (candidates.length <= fullScan)
        return bestOf(candidates, model, momentOf(candidates, least, learnFrom(candidates, model, now), now))
      const one = draw(candidates, random)
      const other = draw(candidates, random, one)
      if (one === undefined || other === undefined) return one
      const mark = markOf(marks, one, model)
      const isOld = mark.usualMs === undefined || now - mark.usualAt >= usualForMs || now < mark.usualAt
      const usualMs = isOld ? learnFrom(candidates, model, now) : (mark.usualMs ?? unknownMs)
      const moment = momentOf(candidates, least, usualMs, now)
      return costOf(one, mark, moment) <= costOf(other, markOf(marks, other, model), moment) * level ? one : other
    },
    observe: (candidate, result, now, model) => {
      learn(markOf(marks, candidate, model), result, now, numbers)
    },
  }
}

function momentOf(candidates: readonly Candidate[], tokens: number, usualMs: number, now: number): Moment {
  let most = 0
  for (const candidate of candidates) most = Math.max(most, weightOf(candidate))
  let busiest = 0
  for (const candidate of candidates) busiest = Math.max(busiest, (candidate.outstandingTokens * most) / weightOf(candidate))
  return { tokens, most, busiest: busiest + tokens, usualMs, now }
}
