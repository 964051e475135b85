import { isUpload, type Call, type Handler, type Layer, type Reply } from '../call.ts'
import type { Clock } from '../clock.ts'
import { asSidecarError } from '../errors.ts'
import { closeAttempt } from '../facts.ts'
import { featuresOf } from '../llm/features.ts'
import { generates } from '../llm/operation.ts'
import { outcomes, type Trigger } from '../llm/outcome.ts'
import type { Plan } from '../plan.ts'
import type { Unrepeated } from '../unrepeated.ts'
import { hopeful, isChoice, isInTime, opensAt, those } from '../upstream/choice.ts'
import { bestOf, type HealthState } from '../upstream/health/tier.ts'
import type { Fallback, Route } from '../upstream/route.ts'
import { dueOf, type Bounds } from './deadline.ts'

export interface FallbackOptions extends Bounds {
  readonly clock: Clock
  /** Nothing worth having begins with less time left. */
  readonly leastLeftMs: number
  /** Hears of each attempt that was not made, and why. */
  readonly refused: (why: Unrepeated) => void
  readonly routeOf: (model: string) => Route | undefined
}

/** Asks another model when the one asked for cannot be had, as far as the route names one for the reason. The answer says which model served. */
export function fallback(options: FallbackOptions): Layer {
  return (next) => (call) => {
    const { plan } = call
    if (plan === undefined || plan.route.fallbacks.length === 0 || !canChange(call)) return next(call)
    plan.fallbacks = plan.route.fallbacks
    takeOver(call, plan, options)
    return overModels(call, plan, next, options)
  }
}

/** Vectors of two models cannot be compared, and what is not chat names its model elsewhere or nowhere. */
const canChange = ({ facts, body }: Call): boolean => generates(facts.operation) && body !== undefined && !isUpload(body)

/** What came of asking one model, and who it was. */
interface Told {
  readonly reply: Reply | undefined
  readonly failure: unknown
  readonly upstream: string
  readonly served: string
  readonly unrepeated: Unrepeated | undefined
}

/** A model that has asked for patience, or is known to fail everywhere, is not asked while another can be: not even to hear it again. */
function takeOver({ body, facts }: Call, plan: Plan, { clock, routeOf }: FallbackOptions): void {
  const now = clock.now()
  if (plan.only !== undefined || isChoice(plan, now)) return
  const { model, route: wanted } = plan
  const states = those(plan).map(({ standing }) => standing.state(model, now))
  const triggers = states.map(triggerOf)
  const before = plan.fallbacks
  for (let step = nextModel(plan, body, triggers); step !== undefined; step = nextModel(plan, body, triggers)) {
    const route = routeOf(step.model)
    if (route === undefined || !isAtHome(plan, route, step.model)) break
    turnTo(plan, step, route)
    if (isChoice(plan, now)) {
      facts.unasked = bestOf(states)
      return
    }
  }
  Object.assign(plan, { model, route: wanted, fallbacks: before })
}

const triggerOf = (state: HealthState): Trigger => (state === 'limited' || state === 'exhausted' ? 'rate_limited' : 'error')

function turnTo(plan: Plan, step: Fallback, route: Route): void {
  plan.fallbacks = after(plan.fallbacks, step)
  plan.model = step.model
  plan.route = route
  plan.tried.length = 0
  plan.asked = undefined
  plan.ailing = []
  plan.triggers = []
  plan.repeatable = undefined
  plan.next = undefined
  plan.panic = false
}

async function overModels(call: Call, plan: Plan, next: Handler, options: FallbackOptions): Promise<Reply> {
  /** The last that says something of the call, and not merely of a model that was asked in place of another. */
  let best: Told | undefined
  let triggers: readonly Trigger[] = []
  for (;;) {
    const told = await asked(call, next)
    const isBeside = best !== undefined && saysNothing(plan)
    triggers = isBeside ? [...triggers, ...triggersOf(plan)] : triggersOf(plan)
    const left = isBeside ? told : best
    left?.reply?.drop()
    if (!isBeside) best = told
    // The attempts are counted over all models: a chain must not make many calls of one.
    const isOver = call.life.cancelled !== undefined || call.facts.attempts >= plan.mostAttempts
    if (isOver || !turned(call, plan, triggers, options)) return given(call, best ?? told, isBeside)
    call.facts.unrepeated = undefined
  }
}

/**
 * To the first model that can be had: one whose upstreams all fail as well would cost one more attempt in vain for every call of an outage, and
 * so would one that usually begins to answer when the client waits no more.
 */
function turned(call: Call, plan: Plan, triggers: readonly Trigger[], options: FallbackOptions): boolean {
  for (let step = nextModel(plan, call.body, triggers); step !== undefined; step = nextModel(plan, call.body, triggers)) {
    const route = options.routeOf(step.model)
    if (route === undefined || !isAtHome(plan, route, step.model)) break
    plan.due = dueOf(call, options)
    if (!beginsInTime({ ...plan, model: step.model, route, tried: [], repeatable: undefined }, options)) {
      call.facts.unrepeated ??= 'deadline'
      options.refused('deadline')
      plan.fallbacks = after(plan.fallbacks, step)
      continue
    }
    turnTo(plan, step, route)
    const now = options.clock.now()
    if (hopeful(plan, now) !== undefined || opensAt(plan, now) !== undefined) return true
  }
  return false
}

const after = (chain: readonly Fallback[], step: Fallback): readonly Fallback[] => chain.slice(chain.indexOf(step) + 1)

function beginsInTime(asking: Plan, { clock, leastLeftMs }: FallbackOptions): boolean {
  const now = clock.now()
  return (asking.due === undefined || asking.due.atMs - now >= leastLeftMs) && isInTime(asking, now)
}

async function asked(call: Call, next: Handler): Promise<Told> {
  const { facts } = call
  let reply: Reply | undefined
  let failure: unknown
  try {
    reply = await next(call)
  } catch (err) {
    failure = err
  }
  return { reply, failure, upstream: facts.upstream, served: facts.served, unrepeated: facts.unrepeated }
}

/** That a model cannot do what the call asks for, or that nobody could be asked for it: the client has not asked for that model. */
const saysNothing = ({ outcome, tried }: Plan): boolean => outcome === 'unsupported' || (outcome !== 'good' && tried.length === 0)

function given({ facts }: Call, { reply, failure, upstream, served, unrepeated }: Told, isEarlier: boolean): Reply {
  if (isEarlier) {
    closeAttempt(facts)
    facts.upstream = upstream
    facts.served = served
    facts.unrepeated = unrepeated
    // More than one attempt has been spent since.
    if (reply !== undefined) reply.headers['x-should-retry'] ??= 'false'
  }
  if (reply === undefined) throw asSidecarError(failure)
  return reply
}

/** What a call refers to does not move with it. */
const isAtHome = ({ home }: Plan, route: Route, model: string): boolean =>
  home === undefined || (home.candidate.serves(model) && route.tiers.some((tier) => tier.includes(home.candidate)))

/** What an answer that is one leads to, it leads to alone; failures count together. */
function triggersOf({ outcome, triggers }: Plan): readonly Trigger[] {
  const own = outcomes[outcome]
  return own.again === 'none' ? own.triggers : triggers
}

/** The model to ask after what has just happened; undefined where the chain names none for that, or none that can do what the call asks for. */
export function nextModel(plan: Plan, body: Call['body'], triggers: readonly Trigger[] = triggersOf(plan)): Fallback | undefined {
  if (plan.fallbacks.length === 0) return undefined
  return plan.fallbacks.find(
    (one) =>
      one.model !== plan.model &&
      plan.home?.candidate.serves(one.model) !== false &&
      triggers.some((trigger) => one.on.includes(trigger)) &&
      canDo(one, plan, body),
  )
}

function canDo({ lacks }: Fallback, plan: Plan, body: Call['body']): boolean {
  if (lacks.length === 0 || body === undefined || isUpload(body)) return true
  plan.needs ??= featuresOf(body)
  const { needs } = plan
  return !lacks.some((feature) => needs.has(feature))
}
