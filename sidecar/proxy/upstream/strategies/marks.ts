import { book, type Book } from '../health/book.ts'
import type { Candidate, Result } from './strategy.ts'

/** What is known of the first bytes of one model at one upstream. */
export interface Mark {
  /** Undefined until it has answered. */
  firstByteMs: number | undefined
  at: number
  /** What was usual among its like when it was last weighed beside them: the median of its tier, for this model. */
  usualMs: number | undefined
  usualAt: number
  readonly own: Own
}

/** What is known of one upstream with one credential, whatever the model: who fails has little to do with that. */
interface Own {
  penaltyMs: number
  /** From 1, after a failure, to 0. */
  failing: number
  penaltyAt: number
  /** The model that it answered last. */
  latest: Mark | undefined
  /** The model that was asked for last: nearly always the next one too. */
  model: string
  mark: Mark | undefined
  readonly models: Book<Mark>
}

export type Marks = WeakMap<Candidate, Own>

export interface MarkNumbers {
  readonly decayMs: number
  readonly unknownMs: number
  readonly penaltyMs: number
  readonly penaltyDecayMs: number
  readonly longestPenaltyMs: number
  readonly penaltyTimes: number
}

/** Of one slower first byte half is believed at once: it may be a long prompt, or the beginning of trouble. */
const rise = 0.5
/** Of one faster first byte a little is believed even in a burst, where no time passes. */
const leastFall = 0.05

export function markOf(marks: Marks, candidate: Candidate, model: string): Mark {
  let own = marks.get(candidate)
  if (own === undefined) marks.set(candidate, (own = nothing()))
  if (own.mark !== undefined && own.model === model) return own.mark
  own.model = model
  return (own.mark = own.models.of(model))
}

function nothing(): Own {
  const own: Own = {
    penaltyMs: 0,
    failing: 0,
    penaltyAt: 0,
    latest: undefined,
    model: '',
    mark: undefined,
    models: book(() => ({ firstByteMs: undefined, at: 0, usualMs: undefined, usualAt: -Infinity, own })),
  }
  return own
}

/** Sorted for a moment, and never across an await. */
const known: number[] = []

/** The median of those that have answered; of two the better says what is usual. All of them hear it. */
export function learnUsual(tier: readonly Mark[], unknownMs: number, now: number): number {
  let count = 0
  for (const { firstByteMs } of tier) {
    if (firstByteMs === undefined) continue
    let at = count++
    for (; at > 0 && (known[at - 1] ?? 0) > firstByteMs; at--) known[at] = known[at - 1] ?? 0
    known[at] = firstByteMs
  }
  const usualMs = count === 0 ? unknownMs : (known[(count - 1) >> 1] ?? unknownMs)
  for (const mark of tier) {
    mark.usualMs = usualMs
    mark.usualAt = now
  }
  return usualMs
}

/** What is to be expected: what was seen, as far as it is not long ago, and else what is usual. */
export function firstByteOf(mark: Mark, usualMs: number, now: number, decayMs: number): number {
  const { firstByteMs, at, own } = mark
  const { latest } = own
  const towardsMs = latest === undefined || latest === mark ? usualMs : usualMs * slowness(latest, now, decayMs)
  return firstByteMs === undefined ? towardsMs : towardsMs + (firstByteMs - towardsMs) * fading(now - at, decayMs)
}

/** Who answered another model slowly just now is not fast with this one, though nothing is known of that. */
function slowness({ firstByteMs, usualMs, at }: Mark, now: number, decayMs: number): number {
  if (firstByteMs === undefined || usualMs === undefined || usualMs <= 0) return 1
  return 1 + (firstByteMs / usualMs - 1) * fading(now - at, decayMs)
}

/** Where a first byte usually takes longer than the penalty, a failure would still look fast. */
export function penaltyOf({ own }: Mark, usualMs: number, now: number, { penaltyDecayMs, penaltyTimes }: MarkNumbers): number {
  if (own.failing === 0) return 0
  return Math.max(own.penaltyMs, own.failing * penaltyTimes * usualMs) * fading(now - own.penaltyAt, penaltyDecayMs)
}

export function learn(mark: Mark, result: Result, now: number, numbers: MarkNumbers): void {
  const { own } = mark
  fadePenalty(own, now, numbers)
  if (result.kind === 'failed') {
    own.penaltyMs = Math.max(own.penaltyMs, Math.min(result.hintMs ?? numbers.penaltyMs, numbers.longestPenaltyMs))
    own.failing = 1
    return
  }
  if (result.kind === 'answered') {
    own.penaltyMs /= 2
    own.failing /= 2
  }
  const ms = result.kind === 'answered' ? result.firstByteMs : result.waitedMs
  const usualMs = mark.usualMs ?? mark.firstByteMs ?? numbers.unknownMs
  const before = mark.firstByteMs === undefined ? undefined : firstByteOf(mark, usualMs, now, numbers.decayMs)
  if (result.kind === 'abandoned' && ms <= (before ?? usualMs)) return
  mark.firstByteMs = before === undefined ? ms : before + (ms - before) * believed(ms > before, now - mark.at, numbers.decayMs)
  mark.at = now
  own.latest = mark
}

function fadePenalty(own: Own, now: number, { penaltyDecayMs }: MarkNumbers): void {
  if (own.failing > 0) {
    const left = fading(now - own.penaltyAt, penaltyDecayMs)
    own.penaltyMs *= left
    own.failing *= left
  }
  own.penaltyAt = now
}

const fading = (age: number, decayMs: number): number => Math.exp(-Math.max(0, age) / decayMs)

const believed = (slower: boolean, age: number, decayMs: number): number => Math.max(slower ? rise : leastFall, 1 - fading(age, decayMs))
