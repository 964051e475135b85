import { backoff } from '../backoff.ts'
import type { Call } from '../call.ts'
import type { SidecarError } from '../errors.ts'
import { closeAttempt } from '../facts.ts'
import { outcomes } from '../llm/outcome.ts'
import { canGoOn, resumableRequest } from '../llm/resume/goOn.ts'
import type { Story } from '../llm/resume/told.ts'
import { pause } from '../pause.ts'
import type { Plan } from '../plan.ts'
import type { ResumeOptions, Stream } from '../resumable.ts'
import type { Unrepeated } from '../unrepeated.ts'
import { isInTime } from '../upstream/choice.ts'
import { stepFrom, type Step } from '../upstream/takeOver.ts'
import { boundOf } from './deadline.ts'

/** As for a call that is repeated: after a wait all is looked at anew, and what has failed others meanwhile is not asked. */
export async function nextTakeOver(stream: Stream, story: Story, failed: SidecarError): Promise<Step | Unrepeated> {
  const { call, plan, options } = stream
  const first = nextStep(stream, story)
  if (typeof first === 'string' || !plan.tried.includes(first.candidate)) return charged(plan, first, options)
  const waitMs = backoff(call.facts.attempts, options.backoffMs, options)
  const then = options.clock.now() + waitMs
  if ((plan.due?.atMs ?? Infinity) - then < options.leastLeftMs || !isInTime(plan, then)) return 'deadline'
  closed(call, failed, options)
  await pause(call, waitMs, options.clock)
  return charged(plan, nextStep(stream, story), options)
}

function nextStep(stream: Stream, story: Story): Step | Unrepeated {
  const { call, plan, options, body } = stream
  const now = options.clock.now()
  if (call.facts.attempts >= plan.mostAttempts) return 'attempts'
  if (plan.panic) return 'no_upstream'
  plan.due = { atMs: call.facts.beganMs + boundOf(call, options), stream: true }
  if (plan.due.atMs - now < options.leastLeftMs) return 'deadline'
  stream.request ??= resumableRequest(story.operation, body)
  const { request } = stream
  if (story.begun && (request === undefined || story.finished || (story.thought && story.text === ''))) return 'not_resumable'
  const goesOn = stream.goesOn && plan.route.resume === 'continue' && request !== undefined && canGoOn(request)
  // Once more, and not again after that.
  plan.repeatable = plan.repeatable?.filter((one) => plan.tried.indexOf(one) === plan.tried.lastIndexOf(one))
  const step = stepFrom(plan, { story, request, goesOn, body, now })
  return step ?? (isInTime(plan, now) ? 'no_upstream' : 'deadline')
}

function charged(plan: Plan, step: Step | Unrepeated, { clock }: ResumeOptions): Step | Unrepeated {
  if (typeof step === 'string') return step
  const allowance = plan.route.budget.allow(priceOfRepeat, plan.tokens, true, clock.now())
  if (allowance !== 'ok') return `budget_${allowance}`
  plan.price = priceOfRepeat
  return step
}

/** What has been paid for already counts double, as for every attempt that broke off. */
const priceOfRepeat = 2

/** Once more, where it broke off for no reason that would still be one, and the client does not repeat by itself. */
export function noteRepeatable({ plan, call, disagrees, held }: Stream, { kind }: SidecarError): void {
  const { asked, repeatable } = plan
  if (asked === undefined) return
  const mayHelp = held === undefined ? kind === 'reply_cut' || kind === 'bad_reply' : outcomes[held.outcome].again === 'either'
  const isRepeatable = mayHelp && !disagrees && call.wishes.retries === 0
  // Whatever its attempts before came to.
  plan.repeatable = [...(repeatable ?? []).filter((one) => one !== asked), ...(isRepeatable ? [asked] : [])]
}

export function closed({ facts }: Call, { kind }: SidecarError, { clock }: ResumeOptions): void {
  if (facts.answered === 0) return
  facts.oursMs = clock.now()
  closeAttempt(facts, kind)
}
