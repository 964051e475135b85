import type { Feature } from '../llm/features.ts'
import type { Trigger } from '../llm/outcome.ts'
import type { Budget } from './budget.ts'
import type { Candidate } from './candidate.ts'
import type { Strategy } from './strategies/strategy.ts'

export interface Fallback {
  readonly model: string
  readonly on: readonly Trigger[]
  /** It does not take the place of another in calls that ask for any of this. */
  readonly lacks: readonly Feature[]
}

/** Where calls for some models may go. */
export interface Route {
  readonly name: string
  readonly serves: (model: string) => boolean
  /** The lowest first; those of one tier share the calls. */
  readonly tiers: readonly (readonly Candidate[])[]
  /** There is one candidate in all of the tiers: nobody could take its calls over. */
  readonly alone: boolean
  /** The share of a tier that may be ejected at a time, where no lower tier could take over. */
  readonly mostEjected: number
  readonly strategy: Strategy
  readonly budget: Budget
  readonly fallbacks: readonly Fallback[]
}
