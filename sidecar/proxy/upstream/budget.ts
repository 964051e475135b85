import { slidingSum } from './slidingSum.ts'

/** So many, and of what is larger a share. */
export interface Bound {
  readonly least: number
  readonly share: number
}

export interface BudgetOptions {
  /** As retries to models are as long as calls, this bounds them at any rate; the floor lets a quiet sidecar retry at all. */
  readonly concurrent: Bound
  /** A few for a quiet sidecar, and a fifth of the calls for a busy one. */
  readonly rate: Bound & { readonly windowMs: number }
  /** Of attempts that may have been billed: one or two large prompts, or a tenth of what is sent anyway. */
  readonly tokens: Bound & { readonly windowMs: number }
  /** What counts for more than one counts for this. */
  readonly unanswered: number
}

/** Which bound said no. */
export type Allowance = 'ok' | 'concurrency' | 'rate' | 'tokens'

/** Bounds what is tried again, so that retries add neither an outage to an overload nor a second bill to the first. */
export interface Budget {
  /** A call begins, and with it its right to be retried by others. */
  readonly began: (tokens: number, now: number) => void
  readonly ended: () => void
  /**
   * Charges one more attempt, whose price is that of the outcome before it; `ok` is followed by `release` of the same price when that attempt
   * ends. What costs nothing goes to one that has not done the work yet, and is bounded by the number of attempts alone.
   */
  readonly allow: (price: number, tokens: number, maybeBilled: boolean, now: number) => Allowance
  readonly release: (price: number) => void
  /** Whether there are repeats under way whose end can be waited for. */
  readonly isBusy: () => boolean
}

/** The longer a window, the finer: calls of minutes ago go out of it little by little. */
const tokenSlots = 30

export function budget({ concurrent, rate, tokens: bill, unanswered }: BudgetOptions): Budget {
  const calls = slidingSum(rate.windowMs)
  const costs = slidingSum(rate.windowMs)
  const sent = slidingSum(bill.windowMs, tokenSlots)
  const sentAgain = slidingSum(bill.windowMs, tokenSlots)
  let active = 0
  let retrying = 0
  return {
    began: (tokens, now) => {
      active++
      calls.add(1, now)
      sent.add(tokens, now)
    },
    ended: () => {
      active--
    },
    allow: (price, tokens, maybeBilled, now) => {
      const cost = price > 1 ? unanswered : price
      if (cost > 0 && retrying + 1 > Math.max(concurrent.least, concurrent.share * active)) return 'concurrency'
      if (cost > 0 && costs.sum(now) + cost > rate.least + rate.share * calls.sum(now)) return 'rate'
      if (maybeBilled && sentAgain.sum(now) + tokens > Math.max(bill.least, bill.share * sent.sum(now))) return 'tokens'
      if (cost > 0) {
        retrying++
        costs.add(cost, now)
      }
      if (maybeBilled) sentAgain.add(tokens, now)
      return 'ok'
    },
    release: (price) => {
      if (price > 0) retrying--
    },
    isBusy: () => retrying > 0,
  }
}
