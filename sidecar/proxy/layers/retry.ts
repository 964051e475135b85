import { isUpload, type Call, type Handler, type Layer, type Reply } from '../call.ts'
import type { Clock } from '../clock.ts'
import { SidecarError } from '../errors.ts'
import { offCancel, onCancel } from '../life.ts'
import { outcomes } from '../llm/outcome.ts'
import type { Plan } from '../plan.ts'
import type { Refusal } from '../upstream/budget.ts'
import { choice } from '../upstream/choice.ts'
import { boundOf, type Bounds } from './deadline.ts'

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

/** Why a call that failed was not tried again. */
export type Unrepeated = 'attempts' | 'budget_concurrency' | 'budget_rate' | 'budget_tokens' | 'not_kept' | 'deadline' | 'no_upstream' | 'forbidden'

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
    return plan === undefined ? next(call) : attempts(call, plan, next, options)
  }
}

async function attempts(call: Call, plan: Plan, next: Handler, options: RetryOptions): Promise<Reply> {
  const { budget } = plan.route
  let settle: (() => void) | undefined
  try {
    for (;;) {
      let reply: Reply | undefined
      let failure: unknown
      try {
        reply = await next(call)
      } catch (err) {
        failure = err
      }
      settle?.()
      settle = undefined
      const step = nextStep(call, plan, options)
      if (typeof step === 'string') {
        if (step !== 'done') {
          call.facts.unrepeated = step
          options.refused(step)
        }
        if (reply === undefined) throw failure
        return reply
      }
      reply?.drop()
      if (step.waitMs > 0) await pause(call, step.waitMs, options.clock)
      plan.again = step.same ? plan.tried.at(-1) : undefined
      settle = budget.began()
    }
  } finally {
    settle?.()
  }
}

function nextStep(call: Call, plan: Plan, options: RetryOptions): Again | Unrepeated | 'done' {
  const row = outcomes[plan.outcome]
  if (row.other === undefined && row.same === undefined) return 'done'
  if (call.life.cancelled !== undefined) return 'done'
  if (call.facts.attempts >= plan.mostAttempts) return 'attempts'
  if (isUpload(call.body) && !call.body.untouched()) return 'not_kept'
  const now = options.clock.now()
  const leftMs = call.facts.beganMs + boundOf(call, options) - now
  if (leftMs < leastLeftMs) return 'deadline'
  if (row.other !== undefined && choice(plan, now) !== undefined) {
    // It adds no work to the one that failed, and the other is well.
    const refusal = row.definitive ? undefined : plan.route.budget.refusal(row.other, row.billed ? plan.tokens : 0, now)
    return refusal === undefined ? { waitMs: 0, same: false } : because(refusal)
  }
  if (row.same === undefined || plan.panic) return 'no_upstream'
  if (plan.final || call.wishes.retries > 0) return 'forbidden'
  const waitMs = waitFor(plan.hintMs, call.facts.attempts, row.throttled ? options.throttledBackoffMs : options.backoffMs, options)
  if (waitMs === undefined || leftMs - waitMs < leastLeftMs) return 'deadline'
  const refusal = plan.route.budget.refusal(row.same, row.billed ? plan.tokens : 0, now)
  return refusal === undefined ? { waitMs, same: true } : because(refusal)
}

const because = (refusal: Refusal): Unrepeated => `budget_${refusal}`

/** As long as the upstream asks for, else by chance up to a bound that doubles; undefined where that is longer than anybody should wait. */
function waitFor(hintMs: number | undefined, attempts: number, baseMs: number, options: RetryOptions): number | undefined {
  if (hintMs !== undefined) return hintMs <= options.longestWaitMs ? hintMs : undefined
  return options.random() * Math.min(options.longestBackoffMs, baseMs * 2 ** (attempts - 1))
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
