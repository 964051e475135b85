import type { Config, Upstream } from '../config/config.ts'
import { modelMatcher } from '../config/modelPattern.ts'
import type { Handler } from './call.ts'
import type { Canaries } from './canary/canaries.ts'
import { withCanary } from './canary/split.ts'
import type { Source } from './layers/mergedModels.ts'
import type { Learn } from './layers/pin.ts'
import { way, type Account, type Settings, type Surroundings } from './pipeline.ts'
import { budget, type Budget } from './upstream/budget.ts'
import type { Candidate } from './upstream/candidate.ts'
import type { FirstBytes } from './upstream/firstBytes.ts'
import { adaptivePatience, fixedPatience, type Patience } from './upstream/patience.ts'
import { pins, type PinBook, type Pins } from './upstream/pins.ts'
import type { Route } from './upstream/route.ts'
import type { Marks } from './upstream/strategies/marks.ts'
import { peakEwma, type PeakEwmaNumbers } from './upstream/strategies/peakEwma.ts'
import { leastConnections, leastTokens } from './upstream/strategies/least.ts'
import { roundRobin } from './upstream/strategies/roundRobin.ts'
import type { Strategy } from './upstream/strategies/strategy.ts'
import { weighted } from './upstream/strategies/weighted.ts'
import type { OpenTarget } from './upstream/target.ts'
import { tiersOf } from './upstream/tiers.ts'

export type StrategyName = Config['routing']['strategy']
export type StrategyOf = (name: StrategyName, routing: Config['routing']) => Strategy

/** One of each kind for the process: what it knows of upstreams outlives a config. */
export function strategies(random: () => number): StrategyOf {
  const marks: Marks = new WeakMap()
  const makers: Readonly<Record<StrategyName, (routing: Config['routing']) => Strategy>> = {
    peak_ewma: ({ peakEwma: numbers }) => peakEwma({ random, marks, ...peakEwmaNumbers(numbers) }),
    round_robin: roundRobin,
    weighted: () => weighted(random),
    least_connections: leastConnections,
    least_tokens: leastTokens,
  }
  const made = new Map<StrategyName, { readonly key: string; readonly strategy: Strategy }>()
  return (name, routing) => {
    const key = name === 'peak_ewma' ? JSON.stringify(routing.peakEwma) : ''
    const before = made.get(name)
    if (before?.key === key) return before.strategy
    const strategy = makers[name](routing)
    made.set(name, { key, strategy })
    return strategy
  }
}

export const peakEwmaNumbers = (numbers: Config['routing']['peakEwma']): PeakEwmaNumbers => ({
  decayMs: numbers.decay,
  unknownMs: numbers.unknown,
  penaltyMs: numbers.penalty,
  penaltyDecayMs: numbers.penaltyDecay,
  longestPenaltyMs: numbers.longestPenalty,
  penaltyTimes: numbers.penaltyTimes,
  leastTokens: numbers.leastTokens,
  level: numbers.level,
  fullScan: numbers.fullScan,
})

/** What is known of ids over all configs, as this one bounds it; undefined where all is one account. */
export function pinsOf({ upstreams, routing: { pins: bounds } }: Config, book: PinBook): Pins | undefined {
  const accounts = upstreams.reduce((sum, { credentials }) => sum + (credentials?.length ?? 1), 0)
  return accounts < 2 || bounds.off ? undefined : pins(book, { most: bounds.most, keepMs: bounds.keep })
}

export interface Opened {
  readonly upstream: Upstream
  readonly target: OpenTarget
}

/** What attempts can go to, each upstream with each of its credentials, and the way there. */
export function openWays(
  opened: readonly Opened[],
  config: Config & Settings,
  { clock, pins }: Pick<Surroundings, 'clock'> & { readonly pins: Pins | undefined },
): Map<Candidate, Handler> {
  const defaults = new Map((config.models ?? []).map(({ name, defaults: wanted }) => [name, wanted]))
  const ways = new Map<Candidate, Handler>()
  for (const { upstream, target } of opened) {
    const { name, tier, weight, connections, continues, models, modelNames = {} } = upstream
    const has = modelMatcher(models)
    const patience = patienceOf(config, target.firstBytes)
    const handleOf = ({ key }: Account, learn: Learn | undefined): Handler =>
      way(config, { clock }, { target, patience, key, learn, rename: { modelNames, defaultsOf: (model) => defaults.get(model) } })
    for (const account of target.accounts) {
      const candidate: Candidate = {
        upstream: name,
        credential: account.credential,
        told: target.accounts.length > 1 ? account.credential : '',
        account: `${name}/${account.credential} ${target.url.origin}`,
        tier,
        weight,
        connections,
        continues,
        // What names no model, such as a file, may go to any.
        serves: (model: string) => model === '' || has(model),
        patience,
        standing: account.standing,
      }
      const learn: Learn | undefined = pins && ((id) => pins.learn(id, candidate.account, clock.now()))
      ways.set(candidate, handleOf(account, learn))
    }
  }
  return ways
}

function patienceOf({ timeouts: { firstEvent, adaptive } }: Config, known: FirstBytes): Patience {
  if (firstEvent !== 'adaptive') return fixedPatience(known, firstEvent)
  const { cold, shortest, longest, times, warmAfter } = adaptive
  return adaptivePatience(known, { coldMs: cold, shortestMs: shortest, longestMs: longest, times, warmAfter })
}

export interface RouteSharing {
  readonly budget: Budget
  readonly strategyOf: StrategyOf
  readonly canaries: Pick<Canaries, 'open'>
  readonly random: () => number
}

/** The routes of a config, and the one for all that they are not for. */
export function routesOf(
  { routes = [], routing, health, models }: Config,
  candidates: readonly Candidate[],
  shared: RouteSharing,
): Route[] {
  const lacks = new Map(models?.map((model) => [model.name, model.lacks]))
  const route = (name: string, serves: Route['serves'], own: Partial<NonNullable<Config['routes']>[number]>): Route => {
    const tiers = tiersOf(candidates.filter(({ upstream }) => own.upstreams?.includes(upstream) ?? true))
    const made: Route = {
      name,
      serves,
      tiers,
      alone: tiers.flat().length === 1,
      mostEjected: health.mostEjected,
      strategy: shared.strategyOf(own.strategy ?? routing.strategy, routing),
      affinity: (own.affinity ?? routing.affinity).map((key) => (typeof key === 'string' ? key : { header: key.header.toLowerCase() })),
      affinityLoad: routing.affinityLoad,
      budget: shared.budget,
      fallbacks: (own.fallbacks ?? routing.fallbacks ?? []).map((one) => ({ ...one, lacks: lacks.get(one.model) ?? [] })),
      resume: own.resume ?? routing.resume,
      onTrial: undefined,
      split: undefined,
    }
    const { canary } = own
    if (canary === undefined) return made
    return withCanary(made, canary, { candidates, trial: shared.canaries.open(name, canary), random: shared.random })
  }
  return [...routes.map((one) => route(one.name, modelMatcher(one.models), one)), route('default', () => true, {})]
}

/** The upstreams as sources of models, those of the first tier first. */
export function listSources(opened: readonly Opened[], { routing }: Config, routes: readonly Route[]): Source[] {
  const all = routes.at(-1)?.tiers.flat() ?? []
  const isOpen = ({ weight, upstream }: Candidate): boolean => weight > 0 || (routing.overrides?.upstreams?.includes(upstream) ?? false)
  return opened
    .toSorted(({ upstream: one }, { upstream: other }) => one.tier - other.tier)
    .map(({ upstream: { name, modelNames = {} }, target }) => {
      const own = all.filter(({ upstream }) => upstream === name)
      // As a call for it would be: by the first route that is for it, and only where that leads here.
      const leadsHere = (model: string): boolean =>
        routes
          .find(({ serves }) => serves(model))
          ?.tiers.some((tier) => tier.some((one) => one.upstream === name && isOpen(one) && one.serves(model))) ?? false
      const theirs = Map.groupBy(Object.keys(modelNames), (model) => modelNames[model])
      const namesOf = (id: string): string[] =>
        [...(theirs.get(id) ?? []), ...(Object.hasOwn(modelNames, id) ? [] : [id])].filter((model) => leadsHere(model))
      return { name, isAsked: () => own.some(isOpen), entries: target.lists, namesOf }
    })
}

/** What repeats have cost is known over all configs that allow the same. */
export function budgets(): (config: Config) => Budget {
  let last: { readonly key: string; readonly budget: Budget } | undefined
  return (config) => {
    const key = JSON.stringify(config.retry.budget)
    if (last?.key !== key) last = { key, budget: openBudget(config) }
    return last.budget
  }
}

function openBudget({ retry }: Config): Budget {
  const { concurrent, leastConcurrent, rate, leastRate, rateWindow, tokens, leastTokens: least, tokensWindow, unanswered } = retry.budget
  return budget({
    concurrent: { least: leastConcurrent, share: concurrent },
    rate: { least: leastRate, share: rate, windowMs: rateWindow },
    tokens: { least, share: tokens, windowMs: tokensWindow },
    unanswered,
  })
}
