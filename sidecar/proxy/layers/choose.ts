import { isUpload, type Call, type Handler, type Layer, type Reply } from '../call.ts'
import type { Clock } from '../clock.ts'
import { asSidecarError, SidecarError } from '../errors.ts'
import { onOver } from '../life.ts'
import { waitHint } from '../llm/hints.ts'
import { outcomeOfFailure, outcomeOfReply, outcomes } from '../llm/outcome.ts'
import { isEventStream } from '../llm/sse.ts'
import { peek } from '../peek.ts'
import type { Plan } from '../plan.ts'
import type { Candidate } from '../upstream/candidate.ts'
import { choice, leastBad } from '../upstream/choice.ts'

export interface ChooseOptions {
  readonly clock: Clock
}

/** Of an answer that reports a failure: enough to hold every error that says what it is. */
const errorBytes = 8 * 1024
/** Answers up to this size are waited for as a whole where another upstream could take over: cut in the middle, they are asked for again. */
const wholeBytes = 256 * 1024

/** Sends an attempt to one of the upstreams, and tells it, and all that choose after it, how that came out. */
export function choose({ clock }: ChooseOptions): Handler {
  return (call) => {
    const { plan } = call
    if (plan === undefined) return Promise.reject(new SidecarError('internal', 'a call without a plan'))
    const now = clock.now()
    const chosen = plan.again ?? choice(plan, now) ?? (plan.tried.length === 0 ? inNeed(plan, now) : undefined)
    return chosen === undefined ? Promise.reject(none(plan, now)) : attempt(call, plan, chosen, clock)
  }
}

/** None is usable. One attempt is made all the same, where it could help: it may be we who are mistaken. */
function inNeed(plan: Plan, now: number): Candidate | undefined {
  plan.panic = true
  return leastBad(plan, now)
}

async function attempt(call: Call, plan: Plan, candidate: Candidate, clock: Clock): Promise<Reply> {
  const { standing } = candidate
  const { route, tokens, model } = plan
  const beganMs = clock.now()
  if (plan.tried.at(-1) !== candidate) plan.tried.push(candidate)
  const other = plan.route.tiers.length > 1 || (plan.route.tiers[0]?.length ?? 0) > 1 ? choice(plan, beganMs) : undefined
  standing.began(model, tokens, beganMs)
  try {
    const given = await candidate.handle(call.last === (other === undefined) ? call : { ...call, last: other === undefined })
    const reply = await judged(call, plan, given, other !== undefined)
    const { outcome } = plan
    if (outcome === 'good') {
      const { facts } = call
      standing.answered(facts.headMs - (facts.sentMs || beganMs), clock.now())
    } else standing.failed(outcome, plan.hintMs, clock.now())
    return reply
  } catch (thrown) {
    const err = asSidecarError(thrown)
    throw err
  }
}
