import type { Call, Handler, Reply } from '../call.ts'
import type { Clock } from '../clock.ts'
import { asSidecarError, kinds, SidecarError, type KindName } from '../errors.ts'
import { closeAttempt, handOver } from '../facts.ts'
import { errorEventIn } from '../llm/errorEvent.ts'
import { waitHint } from '../llm/hints.ts'
import { namesModel } from '../llm/operation.ts'
import {
  againAfter,
  outcomeOfErrorEvent,
  outcomeOfFailure,
  outcomeOfHealth,
  outcomeOfReply,
  outcomes,
  type Outcome,
} from '../llm/outcome.ts'
import { isNoJson, isOnlyError, isSpoiled } from '../llm/spoiled.ts'
import { isEventStream } from '../llm/sse.ts'
import { peek, type Peeked } from '../peek.ts'
import type { Plan } from '../plan.ts'
import type { Candidate } from '../upstream/candidate.ts'
import { choice, inNeed, isChoice, isChoiceThen, opensAt } from '../upstream/choice.ts'
import { settle } from '../upstream/settle.ts'
import { nobody } from '../upstream/nobody.ts'
import { headBoundOf, type Bounds } from './deadline.ts'

export interface ChooseOptions extends Bounds {
  readonly clock: Clock
  /** The way to each of them. */
  readonly ways: ReadonlyMap<Candidate, Handler>
  /** The time of day: some upstreams say until when, not for how long. */
  readonly epochMs: () => number
  /** Nothing worth having begins with less time left. */
  readonly leastLeftMs: number
}

/** Of an answer that reports a failure: enough to hold every error that says what it is. */
const errorBytes = 8 * 1024
/** Such an answer comes as a whole, or is worth no wait. */
const errorMs = 100
/** Answers up to this size are waited for as a whole where another upstream could take over: cut in the middle, they are asked for again. */
const wholeBytes = 256 * 1024

/** Sends an attempt to one of the upstreams, and tells it, and all that choose after it, how that came out. */
export function choose(options: ChooseOptions): Handler {
  return (call) => {
    const { plan } = call
    if (plan === undefined) return Promise.reject(new SidecarError('internal', 'a call without a plan'))
    const now = options.clock.now()
    const isLast = call.facts.attempts + 1 >= plan.mostAttempts
    const chosen = plan.next ?? choice(plan, now, isLast) ?? (plan.tried.length === 0 ? inPanic(plan, now) : undefined)
    if (chosen !== undefined) return attempt(call, plan, chosen, options)
    // Nobody has been asked yet, and one that is over its limit is worth a wait.
    const early = plan.tried.length === 0 && !plan.panic
    plan.outcome = early ? 'rate_limited' : 'overloaded'
    plan.again = early ? 'other' : 'none'
    return Promise.reject(nobody(plan, now))
  }
}

function inPanic(plan: Plan, now: number): Candidate | undefined {
  if ((opensAt(plan, now) ?? Infinity) - now <= plan.patienceMs) return undefined
  plan.panic = true
  return inNeed(plan, now)
}

function attempt(call: Call, plan: Plan, candidate: Candidate, options: ChooseOptions): Promise<Reply> {
  const { clock, ways, epochMs } = options
  const handle = ways.get(candidate)
  if (handle === undefined) return Promise.reject(new SidecarError('internal', 'an upstream without a way to it'))
  const { facts } = call
  const beganMs = clock.now()
  if (plan.next === undefined || !plan.tried.includes(candidate)) plan.tried.push(candidate)
  plan.asked = candidate
  plan.next = undefined
  plan.hintMs = undefined
  const alone = plan.panic || facts.attempts + 1 >= plan.mostAttempts || plan.route.alone || !isChoice(plan, beganMs)
  const last = alone || (facts.stream && !mayFollow(call, plan, candidate, options))
  // Before anything of this attempt is written over what is known of the one before it.
  closeAttempt(facts)
  facts.account = candidate.told
  const attempted: Attempted = { call, plan, candidate, clock, epochMs, alone, beganMs }
  plan.visit = candidate.standing.began(plan.model, plan.tokens, beganMs)
  const failed = (thrown: unknown): never => broke(attempted, thrown)
  // Without `await`, which would make every call wait for a look that only few answers get.
  return handle(call.last === last ? call : { ...call, last }).then((given) => {
    const reply = judged(attempted, given)
    return reply instanceof Promise ? reply.then((seen) => answered(attempted, seen), failed) : answered(attempted, reply)
  }, failed)
}

/** Whether another could still begin when this one has had its time without a first event: else it has all the time that there is. */
function mayFollow(call: Call, plan: Plan, { patience }: Candidate, options: ChooseOptions): boolean {
  const now = options.clock.now()
  const leftMs = call.facts.beganMs + headBoundOf(call, options) - now - patience.current(plan.model, false)
  return leftMs >= options.leastLeftMs && isChoiceThen(plan, now, leftMs)
}

interface Attempted extends Pick<ChooseOptions, 'clock' | 'epochMs'> {
  readonly call: Call
  readonly plan: Plan
  readonly candidate: Candidate
  /** Nobody could take over. */
  readonly alone: boolean
  readonly beganMs: number
}

function broke({ call: { facts }, plan, candidate, clock, beganMs }: Attempted, thrown: unknown): never {
  const { kind, message } = asSidecarError(thrown)
  // With a head and nothing to it, it has no more been answered than without.
  if (facts.answered !== 0) closeAttempt(facts, kind)
  plan.outcome = facts.hurried ? 'client_abort' : outcomeOfFailure(kind, facts.connectedMs < beganMs ? 'connect' : 'sent')
  plan.again = outcomes[plan.outcome].again
  if (plan.outcome === 'connect') plan.unreachable = [...plan.unreachable, candidate.upstream]
  settle(plan, { what: kind, why: `${kind}, ${message}`, condition: facts.hurried ? undefined : conditionOf(kind) }, { clock, beganMs })
  throw thrown
}

function answered({ call: { facts }, plan, candidate, clock, beganMs }: Attempted, reply: Reply): Reply {
  candidate.standing.condition.took(facts.headMs - facts.connectedMs)
  if (plan.outcome !== 'good') {
    const spoilt = reply.status < 400 && plan.again !== 'none'
    // Whatever its status says: for who reads the log, this attempt failed.
    if (spoilt) closeAttempt(facts, 'bad_reply')
    const what = `status ${reply.status}${spoilt ? ', but no answer' : ''}`
    const meant = plan.outcome === 'quota' ? ', no quota or money is left' : plan.outcome === 'auth' ? ', the key is refused' : ''
    settle(plan, { what, why: `${what}${meant}`, condition: conditionOfAnswer(plan.outcome) }, { clock, beganMs })
    return reply
  }
  // Where nobody else could be chosen, nothing has to be known of how fast this one is.
  if (plan.route.alone) return reply
  const { strategy } = plan.route
  if (reply.told !== undefined && facts.eventMs <= beganMs) {
    // The client was given a heartbeat in place of a first event, and nobody knows yet when that will come.
    const waitedMs = clock.now() - beganMs
    strategy.observe(candidate.standing, { kind: 'abandoned', waitedMs }, beganMs + waitedMs, plan.model)
    return reply
  }
  const firstMs = (facts.eventMs > beganMs ? facts.eventMs : facts.headMs) - beganMs
  strategy.observe(candidate.standing, { kind: 'answered', firstByteMs: firstMs }, beganMs + firstMs, plan.model)
  return reply
}

/** Finds out what an answer says, as far as that is known before the client gets any of it. */
function judged({ call, plan, clock, epochMs, alone }: Attempted, reply: Reply): Reply | Promise<Reply> {
  const { status, headers } = reply
  const { operation } = call.facts
  if (status >= 400) return operation === 'health' ? judgedByHealth(plan, reply) : judgedByError(call, plan, reply, { clock, epochMs })
  decided(plan, 'good', 'none')
  if (status !== 200 || !namesModel(operation) || call.method === 'HEAD')
    return operation === 'health' ? judgedByHealth(plan, reply) : reply
  if (isEventStream(status, headers)) {
    const first = reply.told?.().first
    const data = first === undefined ? undefined : errorEventIn(first)
    const outcome = data === undefined ? 'good' : outcomeOfErrorEvent(data)
    decided(plan, outcome, outcomes[outcome].again)
    return reply
  }
  if (isSpoiled(headers)) spoiled(plan)
  if (alone || plan.outcome !== 'good') return reply
  const here = reply.complete() ? reply.waiting?.() : undefined
  if (here === undefined) return judgedAsWhole(call, plan, reply, clock)
  judgedByBytes(call, plan, headers, { start: here.length === 1 && here[0] !== undefined ? here[0] : Buffer.concat(here), whole: true })
  return reply
}

function judgedByHealth(plan: Plan, reply: Reply): Reply {
  const outcome = outcomeOfHealth(reply.status)
  decided(plan, outcome, outcomes[outcome].again)
  return reply
}

async function judgedByError(
  call: Call,
  plan: Plan,
  reply: Reply,
  { clock, epochMs }: Pick<ChooseOptions, 'clock' | 'epochMs'>,
): Promise<Reply> {
  const { status, headers } = reply
  const { start, reply: unread } = await looked(call, reply, clock, errorBytes, errorMs)
  const outcome = outcomeOfReply(status, start)
  decided(plan, outcome, againAfter(outcome, headers))
  if (outcome !== 'good') plan.hintMs = waitHint(headers, start, epochMs())
  return unread
}

async function judgedAsWhole(call: Call, plan: Plan, reply: Reply, clock: Clock): Promise<Reply> {
  const seen = call.facts.stream ? await looked(call, reply, clock, errorBytes, errorMs) : await looked(call, reply, clock, wholeBytes)
  judgedByBytes(call, plan, reply.headers, seen)
  return seen.reply
}

function judgedByBytes({ facts }: Call, plan: Plan, headers: Reply['headers'], { start, whole }: Pick<Peeked, 'start' | 'whole'>): void {
  if (whole && isOnlyError(start)) {
    const outcome = outcomeOfErrorEvent(start)
    decided(plan, outcome, outcomes[outcome].again)
    // Who asked for a stream and gets something else has no answer either, as somebody else could give one.
  } else if (facts.stream || isNoJson(headers, start, whole)) spoiled(plan)
}

function decided(plan: Plan, outcome: Outcome, again: Plan['again']): void {
  plan.outcome = outcome
  plan.again = again
}

/** An answer that no model gave: a page of something on the way, or nothing at all. */
const spoiled = (plan: Plan): void => {
  decided(plan, 'server', outcomes.server.again)
}

/** The wait for more of an answer is a wait for the upstream. */
async function looked(call: Call, reply: Reply, clock: Clock, ...[most, ms]: readonly [number, number?]): ReturnType<typeof peek> {
  const { facts } = call
  handOver(facts, clock.now())
  try {
    return await peek(reply, most, call.life, ms === undefined ? undefined : { clock, ms })
  } finally {
    facts.oursMs = clock.now()
  }
}

/** What the client or we are to blame for says nothing of the upstream. */
export const conditionOf = (kind: KindName): 'failed' | undefined => (kinds[kind].fault === 'upstream' ? 'failed' : undefined)

/** As our `/health` says it: who refuses a key, or calls for now, is there and of no use, whatever the call was; what its own says is not ours. */
function conditionOfAnswer(outcome: Outcome): 'failed' | 'refused' | 'good' | undefined {
  if (outcome === 'asked' || outcome === 'unwell') return undefined
  const { effect } = outcomes[outcome]
  if (effect === 'none') return 'good'
  return effect === 'hard' || effect === 'soft' || effect === 'brief' ? 'failed' : 'refused'
}
