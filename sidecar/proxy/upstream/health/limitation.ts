import type { HealthNumbers } from './numbers.ts'

/** The patience of an upstream that is well. */
export interface Limitation {
  /** Zero while there is none. */
  readonly until: (now: number) => number
  /** That the last one has gone by is more than a guess. */
  readonly proven: (now: number) => boolean
  /** When the last one went by. */
  readonly endedAt: () => number
  /** Reached, with the time it asks for, or without: then each in a row doubles it. */
  readonly reached: (hintMs: number | undefined, now: number) => void
  /** Overload that passes within seconds, and not for all at the same time. */
  readonly brief: (hintMs: number | undefined, now: number) => void
  /** An attempt begins. */
  readonly admitted: (now: number) => void
  readonly answered: (now: number) => void
  readonly reset: () => void
}

export function limitation(numbers: HealthNumbers, random: () => number): Limitation {
  const { longestHintMs, guessMs, longestGuessMs, trialMs, turnMs, overloadMs, longestOverloadMs } = numbers
  let until = 0
  let endedAt = -Infinity
  let inARow = 0
  let guessed = false
  let nextTurnAt = 0
  const settle = (now: number): void => {
    if (until === 0 || now < until) return
    endedAt = until
    until = 0
  }
  const set = (ms: number, now: number): void => {
    // The later deadline counts: a shorter one would let calls through that the longer forbade.
    until = Math.max(until, now + ms)
  }
  const hinted = (ms: number): number => Math.min(ms, longestHintMs)
  const guess = (): number => Math.min(longestGuessMs, guessMs * 2 ** Math.min(Math.max(inARow - 1, 0), 16))
  /** That a guess was long enough is believed when for so long nobody was turned away. */
  const isOnTrial = (now: number): boolean => guessed && now - endedAt < trialMs
  return {
    until: (now) => {
      settle(now)
      return until === 0 && now < nextTurnAt && isOnTrial(now) ? nextTurnAt : until
    },
    proven: (now) => !isOnTrial(now),
    endedAt: () => endedAt,
    reached: (hintMs, now) => {
      settle(now)
      // The calls that were on their way when the limit was reached are one and the same event.
      if (until === 0) inARow++
      guessed = hintMs === undefined
      set(hintMs === undefined ? guess() : hinted(hintMs), now)
    },
    brief: (hintMs, now) => {
      settle(now)
      set(hintMs === undefined ? overloadMs + (longestOverloadMs - overloadMs) * random() : hinted(hintMs), now)
    },
    admitted: (now) => {
      if (guessed && isOnTrial(now)) nextTurnAt = now + turnMs
    },
    answered: (now) => {
      settle(now)
      // What was let in before the limit ends well in the midst of it, and says nothing of it.
      if (until === 0 && now - endedAt >= trialMs) inARow = 0
    },
    reset: () => {
      until = inARow = nextTurnAt = 0
      guessed = false
      endedAt = -Infinity
    },
  }
}
