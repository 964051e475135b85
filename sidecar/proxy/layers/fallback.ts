import { isUpload, type Call, type Handler, type Layer, type Reply } from '../call.ts'
import { asSidecarError } from '../errors.ts'
import { generates } from '../llm/operation.ts'
import { outcomes } from '../llm/outcome.ts'
import type { Plan } from '../plan.ts'
import type { Fallback, Route } from '../upstream/route.ts'

export interface FallbackOptions {
  readonly routeOf: (model: string) => Route | undefined
}

/** Asks another model when the one asked for cannot be had, as far as the route names one for the reason. The answer says which model served. */
export function fallback({ routeOf }: FallbackOptions): Layer {
  return (next) => (call) => {
    const { plan } = call
    if (plan === undefined || plan.route.fallbacks.length === 0 || !canChange(call)) return next(call)
    plan.fallbacks = plan.route.fallbacks
    return overModels(call, plan, next, routeOf)
  }
}

/** Vectors of two models cannot be compared, and what is not chat names its model elsewhere or nowhere. */
const canChange = ({ facts, body }: Call): boolean => generates(facts.operation) && body !== undefined && !isUpload(body)

async function overModels(call: Call, plan: Plan, next: Handler, routeOf: FallbackOptions['routeOf']): Promise<Reply> {
  for (;;) {
    let reply: Reply | undefined
    let failure: unknown
    try {
      reply = await next(call)
    } catch (err) {
      failure = err
    }
    // The attempts are counted over all models: a chain must not make many calls of one.
    const isOver = call.life.cancelled !== undefined || call.facts.attempts >= plan.mostAttempts
    const step = isOver ? undefined : nextModel(plan)
    const route = step && routeOf(step.model)
    if (step === undefined || route === undefined) {
      if (reply === undefined) throw asSidecarError(failure)
      return reply
    }
    reply?.drop()
    call.facts.unrepeated = undefined
    plan.fallbacks = plan.fallbacks.slice(plan.fallbacks.indexOf(step) + 1)
    plan.model = step.model
    plan.route = route
    plan.tried.length = 0
    plan.repeatable = undefined
    plan.next = undefined
    plan.panic = false
  }
}

/** The model to ask after what has just happened; undefined where the chain names none for that. */
export function nextModel({ fallbacks, model: failed, outcome }: Plan): Fallback | undefined {
  if (fallbacks.length === 0) return undefined
  const { triggers } = outcomes[outcome]
  return fallbacks.find(({ model, on }) => model !== failed && triggers.some((trigger) => on.includes(trigger)))
}
