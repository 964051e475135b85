import { isUpload, type Call, type Handler, type Layer, type Reply } from '../call.ts'
import type { Clock } from '../clock.ts'
import type { SidecarError } from '../errors.ts'
import { offCancel, onCancel, onOver } from '../life.ts'
import { outcomes } from '../llm/outcome.ts'
import type { Plan } from '../plan.ts'
import { isChoice } from '../upstream/choice.ts'
import type { Unrepeated } from '../unrepeated.ts'
import { settle } from '../upstream/settle.ts'
import { conditionOf } from './choose.ts'
import { boundOf, type Bounds } from './deadline.ts'
import { nextModel } from './fallback.ts'

export interface RetryOptions extends Bounds {
  readonly clock: Clock
  readonly random: () => number
  readonly backoffMs: number
  readonly throttledBackoffMs: number
  readonly longestBackoffMs: number
  /** An upstream that asks for a longer wait is not waited for. */
  readonly longestWaitMs: number
  /** Hears of each attempt that was not made, and why. */
  readonly refused: (why: Unrepeated) => void
}

interface Again {
  readonly waitMs: number
  readonly same: boolean
}

/** Nothing worth having begins that late. */
const leastLeftMs = 2_000

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
function begin({ life, facts }: Call, plan: Plan, { clock }: RetryOptions): void {
  if (plan.begun) return
  plan.begun = true
  const { budget } = plan.route
  budget.began(plan.tokens, clock.now())
  onOver(life, (failure) => {
    budget.release(plan.price)
    budget.ended()
    if (plan.visit === undefined) return
    // An answer that began well can still break off, and only now is that known.
    const kind = failure?.kind ?? facts.error
    const ill = kind === undefined ? undefined : conditionOf(kind)
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
  const step = nextStep(call, plan, options)
  if (typeof step === 'string') {
    if (step !== 'done') {
      call.facts.unrepeated = step
      options.refused(step)
    }
    if (reply === undefined) throw failure
    // The client's own repeats would come on top of ours.
    if (call.facts.attempts > 1 && reply.status >= 400) reply.headers['x-should-retry'] ??= 'false'
    return reply
  }
  reply?.drop()
  if (step.waitMs > 0) await pause(call, step.waitMs, options.clock)
  plan.repeat = step.same ? plan.tried.at(-1) : undefined
  return await attempt(call, plan, next, options)
}

function nextStep(call: Call, plan: Plan, options: RetryOptions): Again | Unrepeated | 'done' {
  const { again, outcome } = plan
  if (again === 'none' || again === 'fresh' || plan.mostAttempts < 2 || call.life.cancelled !== undefined) return 'done'
  const now = options.clock.now()
  const other = !plan.panic && isChoice(plan, now)
  if (!other && plan.route.alone && again === 'other') return 'done'
  // The last one is for the model that may be asked instead.
  const most = nextModel(plan, call.body) === undefined ? plan.mostAttempts : plan.mostAttempts - 1
  if (call.facts.attempts >= most) return 'attempts'
  if (isUpload(call.body) && !call.body.untouched()) return 'not_kept'
  const leftMs = call.facts.beganMs + boundOf(call, options) - now
  if (leftMs < leastLeftMs) return 'deadline'
  const { cost } = outcomes[outcome]
  if (other) return charged(plan, cost.other, now) ?? { waitMs: 0, same: false }
  if (again !== 'either' || plan.panic) return 'no_upstream'
  if (call.wishes.retries > 0) return 'forbidden'
  const waitMs = waitFor(plan, call.facts.attempts, now, options)
  if (waitMs === undefined) return 'no_upstream'
  if (waitMs > options.longestWaitMs || leftMs - waitMs < leastLeftMs) return 'deadline'
  return charged(plan, cost.same, now) ?? { waitMs, same: true }
}

function charged(plan: Plan, price: number, now: number): Unrepeated | undefined {
  const allowance = plan.route.budget.allow(price, plan.tokens, outcomes[plan.outcome].maybeBilled, now)
  if (allowance !== 'ok') return `budget_${allowance}`
  plan.price = price
  return undefined
}

/**
 * As long as the upstream asks for, else by chance up to a bound that doubles, and never into a time in which it wants no calls; undefined
 * where it fails so often that one more attempt would be in vain.
 */
function waitFor({ hintMs, outcome, tried, model }: Plan, attemptsMade: number, now: number, options: RetryOptions): number | undefined {
  const standing = tried.at(-1)?.standing
  if (standing === undefined) return undefined
  const limited = standing.state(model, now) === 'limited'
  if (!limited && !standing.sound(model, now)) return undefined
  if (hintMs !== undefined) return hintMs
  const { effect } = outcomes[outcome]
  const baseMs = effect === 'limited' || effect === 'brief' || effect === 'soft' ? options.throttledBackoffMs : options.backoffMs
  const byChance = options.random() * Math.min(options.longestBackoffMs, baseMs * 2 ** (attemptsMade - 1))
  return limited ? Math.max(byChance, (standing.until(model, now) ?? now) - now) : byChance
}

/** Waits, unless the client leaves or the time of the call is up. */
function pause({ life }: Call, ms: number, clock: Clock): Promise<void> {
  return new Promise((give, refuse) => {
    const alarm = clock.set(ms, () => {
      offCancel(life, stop)
      give()
    })
    const stop = (reason: SidecarError): void => {
      clock.clear(alarm)
      refuse(reason)
    }
    onCancel(life, stop)
  })
}
