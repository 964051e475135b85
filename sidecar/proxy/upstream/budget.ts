/** Why a repeat may not be made. */
export type Refusal = 'concurrency' | 'rate' | 'tokens'

export interface BudgetOptions {
  readonly concurrent: number
  readonly leastConcurrent: number
  readonly perMinute: number
  readonly leastPerMinute: number
  readonly tokens: number
  readonly leastTokens: number
  /** Calls in flight. */
  readonly inFlight: () => number
}

/** What repeats may cost, all calls of a process together. */
export interface Budget {
  /** A call came, with about so many tokens. */
  readonly called: (tokens: number, now: number) => void
  /** Undefined where the repeat may be made: then it is counted. `tokens` are those that may be billed twice. */
  readonly refusal: (cost: number, tokens: number, now: number) => Refusal | undefined
  /** A repeat begins; the answer is to be called when it is over. */
  readonly began: () => () => void
}

const minuteMs = 60_000
const tokenWindowMs = 300_000

export function budget(options: BudgetOptions): Budget {
  const calls = windowed(minuteMs)
  const costs = windowed(minuteMs)
  const sent = windowed(tokenWindowMs)
  const doubled = windowed(tokenWindowMs)
  let running = 0
  return {
    called: (tokens, now) => {
      calls.add(1, now)
      sent.add(tokens, now)
    },
    refusal: (cost, tokens, now) => {
      if (running + 1 > Math.max(options.leastConcurrent, options.concurrent * options.inFlight())) return 'concurrency'
      if (costs.sum(now) + cost > options.leastPerMinute + options.perMinute * calls.sum(now)) return 'rate'
      if (tokens > 0 && doubled.sum(now) + tokens > Math.max(options.leastTokens, options.tokens * sent.sum(now))) return 'tokens'
      costs.add(cost, now)
      doubled.add(tokens, now)
      return undefined
    },
    began: () => {
      running++
      let over = false
      return () => {
        if (!over) running--
        over = true
      }
    },
  }
}

const parts = 12

/** The sum over the last while, in a dozen parts: exact enough, and nothing grows with the calls. */
function windowed(lengthMs: number): { readonly add: (amount: number, now: number) => void; readonly sum: (now: number) => number } {
  const partMs = lengthMs / parts
  const amounts = new Float64Array(parts)
  let current = 0
  let total = 0
  const turn = (now: number): void => {
    const part = Math.floor(now / partMs)
    if (part === current) return
    for (let at = Math.max(current + 1, part - parts + 1); at <= part; at++) {
      total -= amounts[at % parts] ?? 0
      amounts[at % parts] = 0
    }
    current = part
  }
  return {
    add: (amount, now) => {
      turn(now)
      amounts[current % parts] = (amounts[current % parts] ?? 0) + amount
      total += amount
    },
    sum: (now) => {
      turn(now)
      return total
    },
  }
}
