import type { SideName, Trial } from '../canary/trial.ts'
import type { Feature } from '../llm/features.ts'
import type { Trigger } from '../llm/outcome.ts'
import type { Budget } from './budget.ts'
import type { Candidate } from './candidate.ts'
import type { Standing } from './standing.ts'
import type { Strategy } from './strategies/strategy.ts'

/** What calls have in common that go to the same upstream: something that the body says, or a header, in small letters. */
export type AffinityKey = 'prompt_cache_key' | 'user' | 'prompt' | { readonly header: string }

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
  /** The first that a call has counts. */
  readonly affinity: readonly AffinityKey[]
  /** So much of its share an upstream may carry before affinity yields. */
  readonly affinityLoad: number
  readonly budget: Budget
  readonly fallbacks: readonly Fallback[]
  /** What becomes of a stream that breaks off: what is tried first. */
  readonly resume: 'continue' | 'splice' | 'error'
  /** These may be asked whatever their weight. */
  readonly onTrial: ReadonlySet<Candidate> | undefined
  /** Where something is on trial, the sides of this route; then every call is on one of them. */
  readonly split: Split | undefined
}

/** The two sides of a route with a canary, as one config has them. */
export interface Split {
  readonly trial: Trial
  /** What the canary side asks for; undefined where its upstreams are what is on trial. */
  readonly model: string | undefined
  readonly header: string
  readonly passHeader: boolean
  readonly stickyBy: string | undefined
  readonly stable: Route
  /** The side on which things were made of which nothing is known. */
  readonly usual: () => Route
  /** The canary, and where a call goes on when that cannot answer. */
  readonly canary: Route
  /** The canary and nothing else, for who asks for it. */
  readonly alone: Route
  /** Undefined where it is not by upstreams that the sides differ. */
  readonly sideOfUpstream: (name: string) => SideName | undefined
  /** The side of the next call; those of one key, where there is one, stay where they are. */
  readonly next: (key: string | undefined) => SideName
  /** The side on which an attempt was made. */
  readonly sideOf: (model: string, standing: Standing | undefined) => SideName
}

/** Who comes to a route in place of another is no part of a trial. */
export const stableOf = (route: Route | undefined): Route | undefined => route?.split?.stable ?? route
