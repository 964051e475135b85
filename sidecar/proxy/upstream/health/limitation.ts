import type { HealthNumbers } from './numbers.ts'

/** The patience of an upstream that is well. */
export interface Limitation {
  /** Zero while there is none. */
  readonly until: (now: number) => number
  /** When the last one went by. */
  readonly endedAt: () => number
  /** Reached, with the time it asks for, or without: then each in a row doubles it. */
  readonly reached: (hintMs: number | undefined, now: number) => void
  /** Overload that passes within seconds, and not for all at the same time. */
  readonly brief: (hintMs: number | undefined, now: number) => void
  readonly answered: () => void
  readonly reset: () => void
}

const briefMs = 2_000
const briefJitterMs = 3_000
const longestWithoutHintMs = 60_000

export function limitation({ limitedMs, longestLimitedMs }: HealthNumbers, random: () => number): Limitation {
  let until = 0
  let endedAt = -Infinity
  let inARow = 0
  const settle = (now: number): void => {
    if (until === 0 || now < until) return
    endedAt = until
    until = 0
  }
  const set = (ms: number, now: number): void => {
    // The later deadline counts: a shorter one would let calls through that the longer forbade.
    until = Math.max(until, now + Math.min(ms, longestLimitedMs))
  }
  return {
    until: (now) => {
      settle(now)
      return until
    },
    endedAt: () => endedAt,
    reached: (hintMs, now) => {
      settle(now)
      // The calls that were on their way when the limit was reached are one and the same event.
      if (until === 0) inARow++
      set(hintMs ?? Math.min(longestWithoutHintMs, limitedMs * 2 ** Math.min(inARow, 16)), now)
    },
    brief: (hintMs, now) => {
      settle(now)
      set(hintMs ?? briefMs + briefJitterMs * random(), now)
    },
    answered: () => {
      inARow = 0
    },
    reset: () => {
      until = inARow = 0
      endedAt = -Infinity
    },
  }
}
