import { isUpload, type Call, type Handler, type Layer, type Reply } from '../call.ts'
import { asSidecarError } from '../errors.ts'
import { generates } from '../llm/operation.ts'
import { outcomes, type Trigger } from '../llm/outcome.ts'
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
    return overModels(call, plan, next, routeOf)
  }
}

/** Vectors of two models cannot be compared, and what is not chat names its model elsewhere or nowhere. */
const canChange = ({ facts, body }: Call): boolean => generates(facts.operation) && body !== undefined && !isUpload(body)

async function overModels(call: Call, plan: Plan, next: Handler, routeOf: FallbackOptions['routeOf']): Promise<Reply> {
  const chain = plan.route.fallbacks
  for (let at = 0; ;) {
    let reply: Reply | undefined
    let failure: unknown
    try {
      reply = await next(call)
    } catch (err) {
      failure = err
    }
    const { triggers } = outcomes[plan.outcome]
    const isOver = triggers.length === 0 || call.life.cancelled !== undefined
    const step = isOver ? -1 : nextIn(chain, at, triggers, { plan, attempts: call.facts.attempts })
    const model = chain[step]?.model
    const route = model === undefined ? undefined : routeOf(model)
    if (model === undefined || route === undefined) {
      if (reply === undefined) throw asSidecarError(failure)
      return reply
    }
    reply?.drop()
    call.facts.unrepeated = undefined
    at = step + 1
    plan.model = model
    plan.route = route
    plan.tried.length = 0
    plan.repeat = undefined
    plan.panic = false
  }
}

/** The attempts are counted over all models: a chain must not make many calls of one. */
function nextIn(
  chain: readonly Fallback[],
  from: number,
  triggers: readonly Trigger[],
  { plan, attempts }: { plan: Plan; attempts: number },
): number {
  if (attempts >= plan.mostAttempts) return -1
  return chain.findIndex(({ model, on }, at) => at >= from && model !== plan.model && triggers.some((trigger) => on.includes(trigger)))
}
