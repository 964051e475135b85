import { weightOf, weighty, type Candidate, type Strategy } from './strategy.ts'
import { turns } from './turns.ts'
import { draw } from './weighted.ts'

export interface PeakEwmaOptions {
  readonly random: () => number
  /** What was seen this long ago counts a third. Calls to models come seconds apart: less would forget from one to the next. */
  readonly decayMs?: number
  /** A failure counts as a first byte that took this much longer: who refuses at once is not fast. */
  readonly penaltyMs?: number
  /**
   * How long it is held against the one that failed; whoever fails for good is ejected meanwhile. Twice as long, and one call that fails by
   * chance behind an outage would keep an upstream out for half a minute more.
   */
  readonly penaltyDecayMs?: number
  /** The usual first byte while nobody has answered yet. */
  readonly unknownMs?: number
}

/** A hint of an hour says nothing about the speed after it. */
const longestPenaltyMs = 300_000
/** Where a first byte usually takes longer than the penalty, a failure would still look fast. */
const timesUsual = 3
/** Up to here all are looked at; of more, two. */
const fullScan = 8
/** So that one small call in flight does not make a slower upstream look better for the next small one. */
const leastTokens = 1_000
/** First bytes vary more than this from call to call: who is nearly as good takes its turn, and is not forgotten. */
const level = 1.25
/** Of one slower first byte half is believed at once: it may be a long prompt, or the beginning of trouble. */
const rise = 0.5
/** Of one faster first byte a little is believed even in a burst, where no time passes. */
const leastFall = 0.05
/** What is usual moves slowly; it is not worked out anew for every call. */
const usualForMs = 1_000

interface Moment {
  readonly tokens: number
  /** The largest weight. */
  readonly most: number
  /** What stands before a call at the busiest. */
  readonly busiest: number
  readonly now: number
}

interface Mark {
  /** Undefined until it has answered. */
  firstByteMs: number | undefined
  at: number
  penaltyMs: number
  penaltyAt: number
}

/**
 * The one from which the first byte should come soonest: how long it took lately, times the tokens that stand before it. Slowness is believed
 * quickly and forgotten slowly, towards what is usual among its like: one of which nothing is heard is neither perfect nor lost.
 */
export function peakEwma(options: PeakEwmaOptions): Strategy {
  const { random, decayMs = 20_000, penaltyMs = 5_000, penaltyDecayMs = 5_000, unknownMs = 1_000 } = options
  const marks = new WeakMap<Candidate, Mark>()
  // Without ease: who has just come back is held back before the turns.
  const takeTurns = turns(weightOf)
  // Kept from choice to choice: an array that is emptied loses its memory.
  const costs: number[] = []
  const good: Candidate[] = []
  let usualMs = unknownMs
  let usualAt = -Infinity

  const learnUsual = (candidates: readonly Candidate[], now: number): void => {
    if (now - usualAt < usualForMs && now >= usualAt) return
    usualAt = now
    const known = candidates.map((one) => marks.get(one)?.firstByteMs).filter((ms) => ms !== undefined)
    known.sort((one, other) => one - other)
    // The lower of the middle ones: of two, the better says what is usual.
    usualMs = known[(known.length - 1) >> 1] ?? unknownMs
  }

  const firstByteOf = ({ firstByteMs = usualMs, at }: Mark, now: number): number =>
    usualMs + (firstByteMs - usualMs) * fading(now - at, decayMs)

  const penaltyOf = (mark: Mark, now: number): number => mark.penaltyMs * fading(now - mark.penaltyAt, penaltyDecayMs)

  const costOf = (candidate: Candidate, moment: Moment): number => {
    const mark = marks.get(candidate)
    const ahead = moment.tokens + (candidate.outstandingTokens * moment.most) / weightOf(candidate)
    if (mark === undefined) return usualMs * ahead
    // Who fails has nothing in flight for that reason, and must not look free beside those who do the work.
    return firstByteOf(mark, moment.now) * ahead + penaltyOf(mark, moment.now) * Math.max(ahead, moment.busiest)
  }

  const bestOf = (candidates: readonly Candidate[], moment: Moment): Candidate | undefined => {
    let least = Infinity
    for (let at = 0; at < candidates.length; at++) {
      const candidate = candidates[at]
      if (candidate === undefined) continue
      // Who has just come back is left out now and then, however fast it is: its caches are cold, or its limit is near.
      const out = candidate.ease < 1 && random() >= candidate.ease
      const cost = out ? Infinity : costOf(candidate, moment)
      costs[at] = cost
      if (cost < least) least = cost
    }
    let found = 0
    for (let at = 0; at < candidates.length; at++) {
      const candidate = candidates[at]
      if (candidate !== undefined && least < Infinity && (costs[at] ?? Infinity) <= least * level) good[found++] = candidate
    }
    if (good.length > found) good.length = found
    return found === 0 ? draw(candidates, random) : takeTurns(good)
  }

  const betterOfTwo = (candidates: readonly Candidate[], moment: Moment): Candidate | undefined => {
    const one = draw(candidates, random)
    const other = draw(candidates, random, one)
    if (one === undefined || other === undefined) return one
    return costOf(one, moment) <= costOf(other, moment) * level ? one : other
  }

  return {
    choose: (all, tokens, now) => {
      const candidates = weighty(all)
      if (candidates.length < 2) return candidates[0]
      learnUsual(candidates, now)
      const moment = momentOf(candidates, Math.max(tokens, leastTokens), now)
      return candidates.length <= fullScan ? bestOf(candidates, moment) : betterOfTwo(candidates, moment)
    },
    observe: (candidate, result, now) => {
      const mark = marks.get(candidate) ?? { firstByteMs: undefined, at: now, penaltyMs: 0, penaltyAt: now }
      marks.set(candidate, mark)
      const penalty = penaltyOf(mark, now)
      mark.penaltyAt = now
      if (result.kind === 'failed') {
        const asked = Math.min(result.hintMs ?? penaltyMs, longestPenaltyMs)
        mark.penaltyMs = Math.max(penalty, asked, timesUsual * usualMs)
        return
      }
      mark.penaltyMs = result.kind === 'answered' ? penalty / 2 : penalty
      const ms = result.kind === 'answered' ? result.firstByteMs : result.waitedMs
      const before = mark.firstByteMs === undefined ? undefined : firstByteOf(mark, now)
      if (result.kind === 'abandoned' && ms <= (before ?? usualMs)) return
      mark.firstByteMs = before === undefined ? ms : before + (ms - before) * believed(ms > before, now - mark.at, decayMs)
      mark.at = now
    },
  }
}

function momentOf(candidates: readonly Candidate[], tokens: number, now: number): Moment {
  let most = 0
  for (const candidate of candidates) most = Math.max(most, weightOf(candidate))
  let busiest = 0
  for (const candidate of candidates) busiest = Math.max(busiest, (candidate.outstandingTokens * most) / weightOf(candidate))
  return { tokens, most, busiest: busiest + tokens, now }
}

const fading = (age: number, decayMs: number): number => Math.exp(-Math.max(0, age) / decayMs)

const believed = (slower: boolean, age: number, decayMs: number): number => Math.max(slower ? rise : leastFall, 1 - fading(age, decayMs))
