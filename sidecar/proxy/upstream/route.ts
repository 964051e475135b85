import type { Candidate } from './candidate.ts'
import type { Strategy } from './strategies/strategy.ts'
import type { Budget } from './budget.ts'

export type Trigger = 'error' | 'rate_limited' | 'timeout' | 'context_window' | 'content_policy'

export interface Fallback {
  readonly model: string
  readonly on: readonly Trigger[]
}

/** Where calls for some models may go. */
export interface Route {
  readonly name: string
  readonly serves: (model: string) => boolean
  /** The lowest first; those of one tier share the calls. */
  readonly tiers: readonly (readonly Candidate[])[]
  readonly strategy: Strategy
  readonly budget: Budget
  readonly fallbacks: readonly Fallback[]
}
