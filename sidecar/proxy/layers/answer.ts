import { localReply, type Call, type Headers, type Layer, type Reply, type Sink } from '../call.ts'
import { asSidecarError, kinds, type KindName, type SidecarError } from '../errors.ts'
import { noteFailure } from '../facts.ts'
import { anthropicError, anthropicErrorEvent, openAiError, openAiErrorEvent, type ErrorFacts } from '../llm/errorShape.ts'
import { isAnthropic } from '../llm/operation.ts'
import { isEventStream } from '../llm/sse.ts'
import type { Unrepeated } from '../unrepeated.ts'

export interface AnswerOptions {
  readonly now: () => number
  /** Hears of every defect of our own, with its stack: the client gets a call id and no more. */
  readonly defect: (call: Call, err: SidecarError) => void
}

/** Makes every failure an answer: a head and a body while nothing has been sent, an event inside a stream that has begun. */
export function answer({ now, defect }: AnswerOptions): Layer {
  const failed = (call: Call, thrown: unknown): Reply => {
    const err = asSidecarError(thrown)
    if (err.kind === 'internal') defect(call, err)
    return refusal(call, err, now())
  }
  return (next) => (call) => {
    try {
      return next(call).then(
        (reply) => (isEventStream(reply.status, reply.headers) ? endingInBand(call, reply, { now, defect }) : reply),
        (thrown: unknown) => failed(call, thrown),
      )
    } catch (thrown) {
      return Promise.resolve(failed(call, thrown))
    }
  }
}

function refusal(call: Call, err: SidecarError, now: number): Reply {
  const facts = factsOf(call, err, now)
  noteFailure(call.facts, err)
  const headers: Headers = { 'content-type': 'application/json', 'x-outrider-error': err.kind, 'x-outrider-fault': facts.fault }
  if (err.retryAfterMs !== undefined) headers['retry-after'] = String(Math.ceil(err.retryAfterMs / 1_000))
  // Clients repeat on their own. They are told not to where it cannot help, and where we have already spent more than one attempt; some
  // take a long wait for none at all and repeat at once, so for that too.
  if (err.permanent || call.facts.attempts > 1 || (err.retryAfterMs ?? 0) > longestObeyedMs) headers['x-should-retry'] = 'false'
  return localReply(facts.status, headers, Buffer.from(isAnthropic(call.path) ? anthropicError(facts) : openAiError(facts)))
}

/** The longest `retry-after` that common clients obey. No setting: it stands in their code. */
const longestObeyedMs = 60_000

/** The head is out, so an error can only be an event of the stream; it is never followed by the marker of a whole one. */
function endingInBand(call: Call, reply: Reply, { now, defect }: AnswerOptions): Reply {
  return {
    ...reply,
    flow: (sink) => {
      const inBand: Sink = {
        data: sink.data,
        end: sink.end,
        fail: (reason) => {
          noteFailure(call.facts, reason)
          if (reason.kind === 'internal') defect(call, reason)
          if (call.life.cancelled?.kind === 'client_gone') return sink.fail(reason)
          const facts = factsOf(call, reason, now())
          const number = (reply.lastNumber?.() ?? -1) + 1
          sink.data(Buffer.from(isAnthropic(call.path) ? anthropicErrorEvent(facts) : openAiErrorEvent(facts, number)))
          sink.end()
        },
      }
      return reply.flow(inBand)
    },
  }
}

function factsOf(call: Call, err: SidecarError, now: number): ErrorFacts {
  const { status, fault } = kinds[err.kind]
  const { upstream, attempts, beganMs, unrepeated } = call.facts
  const afterMs = Math.round(now - beganMs)
  const who = {
    client: 'Refused by Outrider (the sidecar)',
    sidecar: 'Outrider (the sidecar) failed',
    upstream: `Upstream ${upstream} ${unreached.has(err.kind) ? 'could not be reached' : 'failed'}`,
  }[fault]
  const tried = attempts === 0 ? 'no attempt was made' : `${attempts} attempt${attempts === 1 ? '' : 's'}`
  // What clients look for at the beginning of a message stays there.
  const subject = err.kind === 'no_upstream' ? err.message : `${who}: ${err.message}`
  const why = unrepeated === undefined ? '' : `, ${reasons[unrepeated]}`
  const message = `${subject} (${err.kind}, ${tried}${why}, after ${(afterMs / 1_000).toFixed(1)} s, call ${call.id})`
  const more = unrepeated === undefined ? err.details : { ...err.details, not_repeated: unrepeated }
  return { kind: err.kind, status, message, fault, call: call.id, upstream, attempts, afterMs, more }
}

/** Not its fault for certain: the way there may be, or what is configured here. */
const unreached: ReadonlySet<KindName> = new Set(['dns_failed', 'connect_failed', 'connect_timeout', 'tls_failed', 'egress_failed'])

const reasons: Readonly<Record<Unrepeated, string>> = {
  attempts: 'no more are allowed',
  budget_concurrency: 'not repeated: too many repeats are running (retry.budget)',
  budget_rate: 'not repeated: too many repeats lately (retry.budget)',
  budget_tokens: 'not repeated: too many tokens may have been billed twice (retry.budget)',
  not_kept: 'not repeated: uploads and large bodies are not kept for repeats (limits.replayBody)',
  deadline: 'not repeated: too little time was left (retry.leastLeft, retry.longestWait)',
  no_upstream: 'not repeated: no other upstream can be used',
  forbidden: 'not repeated: its client repeats it by itself',
  not_resumable: 'not resumed: no other attempt could go on from there',
}
