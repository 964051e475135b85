import { slidingSum } from '../slidingSum.ts'
import type { HealthNumbers } from './numbers.ts'

/** Counts how attempts went, in a row and by their share. */
export interface Accrual {
  readonly good: (now: number) => void
  /** Whether it is too much now. What is `soft` counts in the share alone. */
  readonly bad: (hard: boolean, now: number) => boolean
  /** It has been too much, and nothing has gone well since, or so little that the share is no better. */
  readonly failing: (now: number) => boolean
  /** That has not to be told any more, until it is too much again. */
  readonly forgive: () => void
  readonly clear: () => void
}

export function accrual({ failuresInARow, leastSuccessRate, leastAttempts, windowMs }: HealthNumbers): Accrual {
  const goods = slidingSum(windowMs)
  const bads = slidingSum(windowMs)
  let inARow = 0
  let tooMuch = false
  let goodSince = false
  const isShareBad = (now: number): boolean => {
    const good = goods.sum(now)
    const all = good + bads.sum(now)
    return all >= leastAttempts && good < leastSuccessRate * all
  }
  const failing = (now: number): boolean => tooMuch && (!goodSince || isShareBad(now))
  return {
    good: (now) => {
      inARow = 0
      goods.add(1, now)
      goodSince = true
      tooMuch = failing(now)
    },
    bad: (hard, now) => {
      if (hard) inARow++
      bads.add(1, now)
      if (inARow < failuresInARow && !isShareBad(now)) return false
      tooMuch = true
      goodSince = false
      return true
    },
    failing,
    forgive: () => {
      tooMuch = false
    },
    clear: () => {
      inARow = 0
      goods.clear()
      bads.clear()
      tooMuch = false
    },
  }
}
