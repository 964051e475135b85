import { slidingSum } from '../slidingSum.ts'
import type { HealthNumbers } from './numbers.ts'

/** Counts how attempts went, in a row and by their share. */
export interface Accrual {
  readonly good: (now: number) => void
  /** Whether it is too much now. What is `soft` counts in the share alone. */
  readonly bad: (hard: boolean, now: number) => boolean
  readonly clear: () => void
}

export function accrual({ failuresInARow, leastSuccessRate, leastAttempts, windowMs }: HealthNumbers): Accrual {
  const goods = slidingSum(windowMs)
  const bads = slidingSum(windowMs)
  let inARow = 0
  return {
    good: (now) => {
      inARow = 0
      goods.add(1, now)
    },
    bad: (hard, now) => {
      if (hard) inARow++
      bads.add(1, now)
      if (inARow >= failuresInARow) return true
      const good = goods.sum(now)
      const all = good + bads.sum(now)
      return all >= leastAttempts && good < leastSuccessRate * all
    },
    clear: () => {
      inARow = 0
      goods.clear()
      bads.clear()
    },
  }
}
