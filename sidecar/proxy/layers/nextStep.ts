import { backoff, type Backoff } from '../backoff.ts'
import { isUpload, type Call } from '../call.ts'
import type { Clock } from '../clock.ts'
import { outcomes } from '../llm/outcome.ts'
import type { Plan } from '../plan.ts'
import type { Candidate } from '../upstream/candidate.ts'
import { choiceAgain, hopeful, hopefulSpare, isChoice, isInTime, isProven, opensAt } from '../upstream/choice.ts'
import type { Unrepeated } from '../unrepeated.ts'
import { dueOf, type Bounds } from './deadline.ts'
import { nextModel } from './fallback.ts'

export interface StepOptions extends Bounds, Backoff {
  readonly clock: Clock
  readonly backoffMs: number
  readonly throttledBackoffMs: number
  /** How long a call waits where another model could be asked. */
  readonly waitBeforeFallbackMs: number
  /** Those that have waited for the same moment come over this share of the time that it took. */
  readonly spread: number
  /** Nothing worth having begins later. */
  readonly leastLeftMs: number
}

/** At once: at one that has failed this call before, or at another. */
export interface Go {
  readonly at: Candidate | undefined
}

/** Not now: it is to be asked again then. */
export interface Wait {
  readonly waitMs: number
  /** It takes from the patience of the call. */
  readonly patient: boolean
}

/** What is to be done after an attempt that failed so long ago: another, a wait, or nothing, with the reason. */
export function nextStep(call: Call, plan: Plan, sinceMs: number, options: StepOptions): Go | Wait | Unrepeated | 'done' {
  const { again, outcome } = plan
  if (again === 'none' || again === 'fresh' || plan.mostAttempts < 2 || call.life.cancelled !== undefined) return 'done'
  const now = options.clock.now()
  plan.due = dueOf(call, options)
  const other = !plan.panic && isChoice(plan, now)
  if (!other && plan.route.alone && again === 'other') return 'done'
  // The last one is for the model that may be asked instead.
  const isFallback = nextModel(plan, call.body) !== undefined
  const attemptsLeft = plan.mostAttempts - call.facts.attempts - (isFallback ? 1 : 0)
  if (attemptsLeft <= 0) return 'attempts'
  if (isUpload(call.body) && !call.body.untouched()) return 'not_kept'
  const leftMs = plan.due.atMs - now
  if (leftMs < options.leastLeftMs) return 'deadline'
  const { cost } = outcomes[outcome]
  if (other) return plan.tried.length === 0 ? { at: undefined } : charged(plan, { at: undefined, price: cost.other, now }, options)
  if (plan.panic) return 'no_upstream'
  // While the first tier is well, a spare that was out once has only calls like this one to show that it is well again.
  const spare = attemptsLeft === 1 && call.facts.attempts > 1 ? hopefulSpare(plan, now) : undefined
  if (spare !== undefined) return charged(plan, { at: spare, price: cost.other, now }, options)
  const wait = waitFor(call, plan, { sinceMs, now }, options)
  if (typeof wait === 'string') return wait === 'no_upstream' && !isInTime(plan, now) ? 'deadline' : wait
  // An answer of another model is worth more than a long wait for this one.
  if (wait.patient && isFallback && wait.waitMs > options.waitBeforeFallbackMs) return 'no_upstream'
  if (leftMs - wait.waitMs < options.leastLeftMs || !isInTime(plan, now + wait.waitMs)) return 'deadline'
  if (wait.waitMs > 0) return wait
  const at = choiceAgain(plan, now) ?? hopeful(plan, now)
  if (at === undefined || !plan.tried.includes(at)) return charged(plan, { at, price: cost.other, now }, options)
  return charged(plan, { at, price: cost.same, now }, options)
}

interface Charge extends Go {
  readonly price: number
  readonly now: number
}

function charged(plan: Plan, { at, price, now }: Charge, { random, throttledBackoffMs }: StepOptions): Go | Wait | Unrepeated {
  const { budget } = plan.route
  const allowance = budget.allow(price, plan.tokens, outcomes[plan.outcome].maybeBilled, now)
  if (allowance === 'ok') {
    plan.price = price
    return { at }
  }
  // Those that run end within seconds: when an upstream breaks down, all that it was working on come at once.
  const waitMs = throttledBackoffMs * (0.5 + random() / 2)
  return allowance === 'concurrency' && budget.isBusy() && waitMs <= plan.patienceMs ? { waitMs, patient: true } : `budget_${allowance}`
}

/**
 * The wait for the one that failed, or for any that is over its limit, whichever can be asked first; none where it is time. Nobody waits for
 * an upstream that fails so often that one more attempt would be in vain.
 */
function waitFor(
  { wishes, facts }: Call,
  plan: Plan,
  { sinceMs, now }: { readonly sinceMs: number; readonly now: number },
  options: StepOptions,
): Wait | Unrepeated {
  const { outcome, again, repeatable } = plan
  if (repeatable?.some((one) => isProven(plan, one, now)) === true) {
    if (sinceMs > 0) return { waitMs: 0, patient: false }
    const { effect } = outcomes[outcome]
    const firstMs = effect === 'limited' || effect === 'brief' || effect === 'soft' ? options.throttledBackoffMs : options.backoffMs
    return { waitMs: backoff(facts.attempts, firstMs, options), patient: false }
  }
  if (hopeful(plan, now) !== undefined) return { waitMs: 0, patient: false }
  const at = opensAt(plan, now)
  if (at === undefined) return again === 'either' && wishes.retries > 0 ? 'forbidden' : 'no_upstream'
  const least = at - now
  if (least > plan.patienceMs) return 'deadline'
  const spreadMs = Math.min(options.longestBackoffMs, Math.max(options.throttledBackoffMs, least * options.spread))
  return { waitMs: Math.min(plan.patienceMs, least + options.random() * spreadMs), patient: true }
}
