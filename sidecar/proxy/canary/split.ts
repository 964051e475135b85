import type { Config } from '../../config/config.ts'
import type { Handler } from '../call.ts'
import type { Trigger } from '../llm/outcome.ts'
import type { Plan } from '../plan.ts'
import { fingerprint } from '../llm/fingerprint.ts'
import type { Candidate } from '../upstream/candidate.ts'
import type { Route, Split } from '../upstream/route.ts'
import { tiersOf } from '../upstream/tiers.ts'
import { deal } from './deal.ts'
import type { Trial } from './trial.ts'

type Canary = NonNullable<NonNullable<Config['routes']>[number]['canary']>

/** What an attempt on the canary side must not come to for the call to end there. */
const crossing: readonly Trigger[] = ['error', 'rate_limited', 'timeout', 'context_window']

export interface SplitOptions {
  readonly candidates: readonly Candidate[]
  /** What is on trial may get a way here that is for it alone. */
  readonly ways: Map<Candidate, Handler>
  readonly trial: Trial
  readonly random: () => number
}

/** Takes the canary out of a route, and remembers it beside. */
export function withCanary(route: Route, canary: Canary, { candidates, ways, trial, random }: SplitOptions): Route {
  const { upstreams, model, header, passHeader, stickyBy } = canary
  const isOnTrial = ({ upstream }: Candidate): boolean => upstreams?.includes(upstream) ?? false
  const stableTiers = tiersOf(route.tiers.flat().filter((one) => !isOnTrial(one)))
  const ofCanary =
    upstreams === undefined ? route.tiers.flat() : candidates.filter(isOnTrial).map((one) => (one.weight > 0 ? one : weighty(one, ways)))
  const canaryTiers = tiersOf(ofCanary)
  const standings = new Set(ofCanary.map(({ standing }) => standing))
  const aloneRoute = (tiers: Route['tiers']): Route => ({ ...route, tiers, alone: tiers.flat().length === 1 })
  // Another model cannot be asked at the same upstreams without a word: that is a fallback.
  const together = model === undefined ? [...canaryTiers, ...stableTiers] : canaryTiers
  const isDealt = deal(random)
  // Of two routes not the same users go first.
  const seed = fingerprint(route.name)
  const split: Split = {
    trial,
    model,
    header: header.toLowerCase(),
    passHeader,
    stickyBy: stickyBy?.toLowerCase(),
    canary: aloneRoute(together),
    alone: { ...aloneRoute(canaryTiers), fallbacks: [] },
    sideOfUpstream: (name) => (upstreams?.includes(name) ? 'canary' : 'stable'),
    next: (key) => {
      const { weight } = trial.setting()
      const isCanary = key === undefined ? isDealt(weight) : (fingerprint(key, seed) / 2 ** 32) * 100 < weight
      return isCanary ? 'canary' : 'stable'
    },
    sideOf: (asked, standing) => {
      if (model !== undefined) return asked === model ? 'canary' : 'stable'
      return standing !== undefined && standings.has(standing) ? 'canary' : 'stable'
    },
  }
  return { ...aloneRoute(stableTiers), split }
}

/** One whose weight of nothing keeps other calls away has a place here all the same. */
function weighty(candidate: Candidate, ways: Map<Candidate, Handler>): Candidate {
  const handle = ways.get(candidate)
  if (handle === undefined) return candidate
  const own = { ...candidate, weight: 1 }
  ways.set(own, handle)
  return own
}

/** The route of one call on the canary side: when another model was on trial, the one that the call is for may still answer. */
export function canaryRoute({ canary, model }: Split, plan: Plan): Route {
  if (model === undefined) return canary
  return { ...canary, fallbacks: [{ model: plan.model, on: crossing }, ...canary.fallbacks] }
}
