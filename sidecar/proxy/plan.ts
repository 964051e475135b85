import type { Side } from './canary/side.ts'
import type { Feature } from './llm/features.ts'
import type { Again, Outcome, Trigger } from './llm/outcome.ts'
import type { Candidate } from './upstream/candidate.ts'
import type { Fallback, Route } from './upstream/route.ts'
import type { Visit } from './upstream/standing.ts'

/** The one account that has what a call refers to. */
export interface Home {
  readonly candidate: Candidate
  /** By which it is known; empty where the reference has no id. */
  readonly id: string
  /** It was seen being made there. Else nobody here has, and all calls that name it go to the same account. */
  readonly known: boolean
}

/** When the client has to have the beginning of its answer. */
export interface Due {
  readonly atMs: number
  /** Of streams the first byte comes when the model begins, of others when it has finished. */
  readonly stream: boolean
}

/** What has been decided about a call, and how its attempts have gone so far. Made once for each call that goes to an upstream. */
export interface Plan {
  route: Route
  /** The model that is asked for now, as the config calls it; a fallback changes it. */
  model: string
  /** Only this upstream will do: the call asked for it. */
  readonly only: string | undefined
  /** Nobody else has what the call refers to. */
  home: Home | undefined
  /** Calls with the same number find a warm cache at the same upstream; 0 where that is all the same. */
  affinity: number
  /** About how many tokens the call sends. */
  readonly tokens: number
  /** Over all upstreams and models. */
  readonly mostAttempts: number
  /** No attempt begins that would usually say its first word later; undefined for the first, which alone can show that it takes less. */
  due: Due | undefined
  /** For this model. */
  readonly tried: Candidate[]
  /** The last of them to be asked: one that is asked again may stand further up. */
  asked: Candidate | undefined
  /** Of those, the ones that may be asked once more; undefined while there is none. */
  repeatable: Candidate[] | undefined
  /** Where the route has a canary: the side that this call is on. */
  side: Side | undefined
  /** Upstreams to which there was no way: another key of theirs would find none either, and no other model. */
  unreachable: readonly string[]
  /** Upstreams that have failed as such, and not for one of their keys: others go before their other keys. */
  ailing: readonly string[]
  /** What the attempts with this model have come to that could send the call to another. */
  triggers: readonly Trigger[]
  /** Models that may still be asked in its place. */
  fallbacks: readonly Fallback[]
  /** What the call asks of a model; undefined until that matters. */
  needs: ReadonlySet<Feature> | undefined
  /** Where the next attempt goes, where that is decided already. */
  next: Candidate | undefined
  /** No upstream was usable, and this attempt is made all the same: no other follows it. */
  panic: boolean
  /** How the last attempt came out, until it is known that it came out well. */
  outcome: Outcome
  /** What the upstream allows after that. */
  again: Again
  /** How long the upstream asked to be left alone; undefined where it did not. */
  hintMs: number | undefined
  /** The attempt whose answer is on its way. */
  visit: Visit | undefined
  /** It counts for its budget. */
  begun: boolean
  /** How long it may still wait for an upstream that is over its limit, or for its turn to be repeated. */
  patienceMs: number
  /** What the budget is charged for the attempt that is under way. */
  price: number
}
