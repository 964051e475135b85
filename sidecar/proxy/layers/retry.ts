import type { Call, Handler, Layer, Reply } from '../call.ts'
import { onOver } from '../life.ts'
import { outcomes } from '../llm/outcome.ts'
import { pause } from '../pause.ts'
import type { Plan } from '../plan.ts'
import type { Unrepeated } from '../unrepeated.ts'
import { withStates } from '../upstream/nobody.ts'
import { settle } from '../upstream/settle.ts'
import { conditionOf } from './choose.ts'
import { nextStep, type Go, type StepOptions } from './nextStep.ts'

export interface RetryOptions extends StepOptions {
  /** Longest wait of a call for upstreams that are over their limits. */
  readonly longestWaitMs: number
  /** Hears of each attempt that was not made, and why. */
  readonly refused: (why: Unrepeated) => void
}

/**
 * Tries a call again where that is safe and may help: at another upstream at once, at the same one after a wait, and never beyond what
 * repeats may cost. What cannot be tried again is given back as it is, with the reason.
 */
export function retry(options: RetryOptions): Layer {
  return (next) => (call) => {
    const { plan } = call
    if (plan === undefined) return next(call)
    begin(call, plan, options)
    return attempt(call, plan, next, options)
  }
}

/** A call counts for its budget, and an attempt as under way, until the client has the last byte of it. A fallback goes on with the same plan. */
function begin({ life, facts }: Call, plan: Plan, { clock, longestWaitMs }: RetryOptions): void {
  if (plan.begun) return
  plan.begun = true
  // Without a second attempt there is nothing to wait for.
  plan.patienceMs = plan.mostAttempts < 2 ? 0 : longestWaitMs
  const { budget } = plan.route
  budget.began(plan.tokens, clock.now())
  onOver(life, (failure) => {
    budget.release(plan.price)
    budget.ended()
    if (plan.visit === undefined) return
    // An answer that began well can still break off, and only now is that known.
    const kind = failure?.kind ?? facts.error
    const ill = kind === undefined || facts.hurried ? undefined : conditionOf(kind)
    plan.outcome = kind === undefined ? 'good' : ill === 'failed' ? 'committed' : 'client_abort'
    settle(plan, { what: kind ?? '', condition: kind === undefined ? 'good' : ill }, { clock, beganMs: facts.headMs })
  })
}

/** Without `await`: nearly all calls are well at the first attempt. */
function attempt(call: Call, plan: Plan, next: Handler, options: RetryOptions): Promise<Reply> {
  return next(call).then(
    (reply) => (plan.outcome === 'good' ? reply : goOn({ call, plan, next, options }, { reply })),
    (failure: unknown) => goOn({ call, plan, next, options }, { failure }),
  )
}

interface Trying {
  readonly call: Call
  readonly plan: Plan
  readonly next: Handler
  readonly options: RetryOptions
}

interface Ended {
  readonly reply?: Reply
  readonly failure?: unknown
}

async function goOn({ call, plan, next, options }: Trying, { reply, failure }: Ended): Promise<Reply> {
  plan.route.budget.release(plan.price)
  plan.price = 0
  noteRepeatable(call, plan)
  noteTriggers(plan)
  const step = await waited(call, plan, reply, options)
  if (typeof step === 'string') {
    if (step !== 'done') {
      call.facts.unrepeated = step
      // The last attempt of a call is refused once, and one that is left for another model is not refused at all.
      if (step !== 'attempts' || call.facts.attempts >= plan.mostAttempts) options.refused(step)
    }
    if (reply === undefined) throw withStates(failure, plan, options.clock.now())
    // The client's own repeats would come on top of ours.
    if (call.facts.attempts > 1 && reply.status >= 400) reply.headers['x-should-retry'] ??= 'false'
    // An answer of the upstream's own passes as it is, so that only a header can tell it.
    return step === 'done' ? reply : { ...reply, own: [...(reply.own ?? []), 'x-outrider-not-repeated', step] }
  }
  reply?.drop()
  plan.next = step.at
  return await attempt(call, plan, next, options)
}

/** A client that repeats by itself is not repeated for where it has just been turned away: it will come back there. */
function noteRepeatable({ wishes }: Call, plan: Plan): void {
  const { asked, repeatable } = plan
  if (plan.again !== 'either' || wishes.retries > 0 || asked === undefined || repeatable?.includes(asked) === true) return
  plan.repeatable = [...(repeatable ?? []), asked]
}

/** Whatever came first of several failures: it is all of them together that another model is asked for. */
function noteTriggers(plan: Plan): void {
  const { triggers } = outcomes[plan.outcome]
  if (triggers.some((trigger) => !plan.triggers.includes(trigger))) plan.triggers = [...new Set([...plan.triggers, ...triggers])]
}

/** After each wait all is looked at anew: what was waited for may have failed others meanwhile, and what was of no use may be back. */
async function waited(call: Call, plan: Plan, reply: Reply | undefined, options: RetryOptions): Promise<Go | Unrepeated | 'done'> {
  const { clock } = options
  const failedMs = clock.now()
  for (;;) {
    const step = nextStep(call, plan, clock.now() - failedMs, options)
    if (typeof step === 'string' || 'at' in step) return step
    if (step.patient) plan.patienceMs -= step.waitMs
    try {
      await pause(call, step.waitMs, clock)
    } catch (reason) {
      reply?.drop()
      throw reason
    }
  }
}
