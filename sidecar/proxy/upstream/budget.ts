import { slidingSum } from './slidingSum.ts'

export interface BudgetOptions {
  /** As retries to models are as long as calls, this bounds them at any rate; the floor lets a quiet sidecar retry at all. */
  readonly concurrent?: { readonly least: number; readonly share: number }
  /** Within a minute: a few for a quiet sidecar, and a fifth of the calls for a busy one. */
  readonly rate?: { readonly least: number; readonly share: number }
  /** Within five minutes, of attempts that may have been billed: one or two large prompts, or a tenth of what is sent anyway. */
  readonly tokens?: { readonly least: number; readonly share: number }
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
  readonly allow: (cost: number, tokens: number, maybeBilled: boolean, now: number) => Allowance
  readonly release: (cost: number) => void
  /** Whether there are repeats under way whose end can be waited for. */
  readonly isBusy: () => boolean
}

const rateWindowMs = 60_000
/** Prompts differ so much that a shorter window would know a single one. */
const tokenWindowMs = 300_000

export function budget(options: BudgetOptions = {}): Budget {
  const { concurrent = { least: 3, share: 0.2 }, rate = { least: 10, share: 0.2 }, tokens: bill = { least: 200_000, share: 0.1 } } = options
  const calls = slidingSum(rateWindowMs)
  const costs = slidingSum(rateWindowMs)
  const sent = slidingSum(tokenWindowMs, 30)
  const sentAgain = slidingSum(tokenWindowMs, 30)
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
    allow: (cost, tokens, maybeBilled, now) => {
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
    release: (cost) => {
      if (cost > 0) retrying--
    },
    isBusy: () => retrying > 0,
  }
}
