import type { Config } from '../../config/config.ts'
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
  readonly trial: Trial
  readonly random: () => number
}

/** The same route with a canary: it goes to all that either of its sides goes to, and knows them apart. */
export function withCanary(route: Route, canary: Canary, { candidates, trial, random }: SplitOptions): Route {
  const { upstreams, model, header, passHeader, stickyBy } = canary
  const own = route.tiers.flat()
  const isOnTrial = ({ upstream }: Candidate): boolean => upstreams?.includes(upstream) ?? false
  const stableTiers = tiersOf(own.filter((one) => !isOnTrial(one)))
  // One whose weight of nothing keeps other calls away has a place here all the same.
  const onTrial = new Set(candidates.filter(isOnTrial))
  const canaryTiers = upstreams === undefined ? route.tiers : tiersOf([...onTrial])
  const over = (tiers: Route['tiers'], more: Partial<Route> = {}): Route => ({ ...route, ...more, tiers, alone: tiers.flat().length === 1 })
  const standings = new Set([...onTrial].map(({ standing }) => standing))
  const isDealt = deal(random)
  // Of two routes not the same users go first.
  const seed = fingerprint(route.name)
  const stable = over(stableTiers)
  // Another model cannot be asked at the same upstreams without a word: that is a fallback.
  const together = over(model === undefined ? [...canaryTiers, ...stableTiers] : canaryTiers, { onTrial })
  const split: Split = {
    trial,
    model,
    header: header.toLowerCase(),
    passHeader,
    stickyBy: stickyBy?.toLowerCase(),
    stable,
    canary: together,
    usual: () => (trial.setting().state === 'promoted' ? together : stable),
    alone: over(canaryTiers, { onTrial, fallbacks: [] }),
    sideOfUpstream: (name) => (upstreams === undefined ? undefined : upstreams.includes(name) ? 'canary' : 'stable'),
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
  const all = tiersOf(candidates.filter((one) => own.includes(one) || onTrial.has(one)))
  return { ...over(all), split }
}

/** The route of one call on the canary side: when another model was on trial, the one that the call is for may still answer. */
export function canaryRoute({ canary, model }: Split, plan: Plan): Route {
  if (model === undefined) return canary
  return { ...canary, fallbacks: [{ model: plan.model, on: crossing, lacks: [] }, ...canary.fallbacks] }
}
