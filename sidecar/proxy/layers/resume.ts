import { isUpload, type Layer, type Reply } from '../call.ts'
import { asSidecarError, SidecarError } from '../errors.ts'
import { handOver, type Facts } from '../facts.ts'
import { errorEventIn } from '../llm/errorEvent.ts'
import { outcomeOfErrorEvent, outcomeOfFailure, outcomes } from '../llm/outcome.ts'
import { heartbeat } from '../llm/heartbeat.ts'
import { pass } from '../llm/resume/pass.ts'
import { openPassage, type Passage } from '../llm/resume/passage.ts'
import { isAcross } from '../llm/resume/seam.ts'
import type { Step } from '../upstream/takeOver.ts'
import type { Plan } from '../plan.ts'
import { newStream, spentOn, storyOf, type Around, type ResumeOptions, type Stream } from '../resumable.ts'
import { discard, write } from '../transcript.ts'
import { settle } from '../upstream/settle.ts'
import { conditionOf } from './choose.ts'
import { closed, nextTakeOver, noteRepeatable } from './nextTakeOver.ts'

/**
 * Lets another attempt go on with a stream that broke off when the client had part of it: that one is asked to continue, or to say all again, and
 * what the client has is left out. Text neither repeats nor goes missing; where that cannot be had, the stream ends with an error as ever.
 */
export function resume(options: ResumeOptions): Layer {
  return (next) => (call) => {
    const { plan, body } = call
    if (plan === undefined || !call.facts.stream || !mayBeResumed(plan) || body === undefined || isUpload(body)) return next(call)
    return next(call).then((reply) => (reply.told === undefined ? reply : resumable({ call, plan, body, next, options }, reply)))
  }
}

const mayBeResumed = ({ route, mostAttempts }: Plan): boolean => route.resume !== 'error' && mostAttempts > 1

function resumable(around: Around, reply: Reply): Reply {
  let stream: Stream | undefined
  return {
    ...reply,
    lastNumber: () => stream?.passage?.story.response.number ?? (stream?.reply ?? reply).lastNumber?.() ?? -1,
    told: () => {
      const ends = (stream?.reply ?? reply).told?.() ?? { first: undefined, last: '' }
      return stream?.passage === undefined ? ends : { first: reply.told?.().first, last: stream.last.join('') }
    },
    flow: (sink) => {
      const made = newStream(around, sink, reply)
      stream = made
      flowAsItIs(made)
      return {
        pause: () => {
          made.paused = true
          made.tap?.pause()
        },
        resume: () => {
          made.paused = false
          made.tap?.resume()
        },
        close: (reason) => {
          made.closed = reason
          made.tap?.close(reason)
        },
      }
    },
  }
}

/** The first attempt, or another one that begins the answer: all that is done for its chunks is to copy them. */
function flowAsItIs(stream: Stream): void {
  const { sink, transcript, options } = stream
  const { pages } = options
  stream.tap = stream.reply.flow({
    data: (bytes) => {
      if (stream.held !== undefined || (mayBeFailure(bytes) && isFailure(stream, bytes))) return true
      write(transcript, bytes, pages)
      return sink.data(bytes)
    },
    end: (trailers) => {
      if (stream.held !== undefined) return broken(stream, stream.held.reason)
      discard(transcript, pages)
      if (stream.step !== undefined) options.resumed(stream.step.way, true)
      sink.end(trailers)
    },
    fail: (reason) => {
      broken(stream, stream.held?.reason ?? reason)
    },
  })
}

/** `error`, or `response.failed`. Such an event stands at the beginning of a read, and the look at a few bytes costs no more than that. */
const mayBeFailure = (bytes: Buffer): boolean =>
  bytes[0] === 0x65
    ? (bytes[7] === 0x65 && bytes[8] === 0x72) || (bytes[16] === 0x66 && bytes[17] === 0x61)
    : bytes[0] === 0x64 && bytes[7] === 0x22 && bytes[8] === 0x65 && bytes[9] === 0x72

/** The upstream says that it has failed, and not that the call is wrong. */
function isFailure(stream: Stream, events: Buffer): boolean {
  const data = errorEventIn(events)
  const outcome = data === undefined ? 'good' : outcomeOfErrorEvent(data)
  if (outcomes[outcome].again === 'none') return false
  const reason = new SidecarError('reply_cut', 'the upstream ended its answer with an error of its own')
  stream.held = { events, outcome, reason }
  queueMicrotask(() => stream.tap?.close(reason))
  return true
}

/** What another attempt says behind what the client has. */
function flowBehind(stream: Stream, passage: Passage): void {
  const { sink, options } = stream
  stream.passage = passage
  const differs = (): SidecarError =>
    new SidecarError(
      'reply_cut',
      'it was to go on with a stream that had broken off, and what it said does not fit what the client has already',
    )
  stream.tap = stream.reply.flow({
    data: (bytes) => {
      if (stream.disagrees) return true
      const { bytes: fresh, agrees } = pass(passage, bytes)
      if (!agrees) {
        stream.disagrees = true
        // The tap may not be in hand yet.
        queueMicrotask(() => stream.tap?.close(differs()))
      }
      if (fresh.length === 0) return !stream.paused
      stream.last = [...stream.last.slice(-2), fresh.toString()]
      return sink.data(fresh)
    },
    end: (trailers) => {
      if (stream.disagrees || !isAcross(passage.seam)) {
        stream.disagrees = true
        return broken(stream, differs())
      }
      if (stream.step !== undefined) options.resumed(stream.step.way, true)
      sink.end(trailers)
    },
    fail: (reason) => {
      broken(stream, reason)
    },
  })
}

function broken(stream: Stream, reason: SidecarError): void {
  const { call, options, step } = stream
  const isOver = call.life.cancelled !== undefined || call.life.over || stream.closed !== undefined
  if (step !== undefined && !isOver) options.resumed(step.way, false)
  if (isOver || outcomeOfFailure(reason.kind, 'committed') !== 'committed') return leave(stream, reason)
  const quiet = beat(stream)
  takeUp(stream, reason)
    .catch((err: unknown) => {
      leave(stream, asSidecarError(err))
    })
    .finally(quiet)
}

/** Until another attempt speaks, nothing else tells the client, and what stands between, that its stream is not dead. */
function beat(stream: Stream): () => void {
  const { call, sink, options } = stream
  const { clock, heartbeatMs } = options
  if (heartbeatMs === 0) return () => {}
  const ring = (): void => {
    const isOver = stream.closed !== undefined || call.life.cancelled !== undefined
    if (!isOver && !stream.paused && !sink.data(heartbeat)) stream.paused = true
    alarm = clock.set(heartbeatMs, ring)
  }
  let alarm = clock.set(heartbeatMs, ring)
  return () => {
    clock.clear(alarm)
  }
}

function leave({ sink, transcript, options, held, call }: Stream, reason: SidecarError): void {
  discard(transcript, options.pages)
  if (held === undefined || call.life.cancelled !== undefined) return sink.fail(reason)
  // The upstream's own word, as it came.
  sink.data(held.events)
  sink.end()
}

async function takeUp(stream: Stream, reason: SidecarError): Promise<void> {
  const { call, plan, options } = stream
  const story = storyOf(stream)
  const { eventMs, sentMs, upstream: from } = call.facts
  let cause = reason
  endVisit(stream, reason)
  noteRepeatable(stream, reason)
  if (story !== undefined) stream.before.push(spentOn(stream, story))
  for (let failed = reason; ;) {
    plan.route.budget.release(plan.price)
    plan.price = 0
    const step = story === undefined ? 'not_resumable' : await nextTakeOver(stream, story, failed)
    if (stream.closed !== undefined) return leave(stream, stream.closed)
    if (typeof step === 'string') {
      call.facts.unrepeated = step
      options.refused(step)
      return leave(stream, cause)
    }
    closed(call, failed, options)
    const reply = await attempted(stream, step)
    if (call.life.cancelled !== undefined || stream.closed !== undefined) {
      if (!(reply instanceof SidecarError)) reply.drop()
      return leave(stream, call.life.cancelled ?? stream.closed ?? reason)
    }
    if (!(reply instanceof SidecarError)) return goOn(stream, step, reply, { eventMs, sentMs })
    options.resumed(step.way, false)
    failed = reply
    cause = new SidecarError(
      reason.kind,
      `it was to go on with a stream that had broken off at upstream ${from} (${reason.message}), and ${reply.message}`,
      {
        cause: reply,
      },
    )
  }
}

/** The client was told of it as far as it came. */
function endVisit({ plan, call, options, disagrees, held }: Stream, { kind }: SidecarError): void {
  plan.outcome = disagrees ? 'sidecar' : (held?.outcome ?? 'committed')
  const condition = disagrees ? undefined : conditionOf(kind)
  settle(plan, { what: kind, condition }, { clock: options.clock, beganMs: call.facts.headMs })
}

async function attempted(stream: Stream, { candidate, body, way }: Step): Promise<Reply | SidecarError> {
  const { call, plan, next, options } = stream
  plan.tried.push(candidate)
  plan.next = candidate
  let reply: Reply
  try {
    reply = await next({ ...call, body })
  } catch (thrown) {
    return asSidecarError(thrown)
  }
  if (plan.outcome === 'good' && reply.told !== undefined) return reply
  reply.drop()
  if (plan.outcome === 'good') {
    plan.outcome = 'server'
    settle(plan, { what: 'no stream', condition: 'failed' }, { clock: options.clock, beganMs: call.facts.headMs })
  } else if (way === 'continue' && reply.status < 500 && outcomes[plan.outcome].effect === 'none') {
    // It does not want to be asked so, and may yet say all again.
    stream.goesOn = false
    plan.tried.pop()
  }
  return new SidecarError('bad_reply', `it answered with status ${reply.status}`)
}

function goOn(stream: Stream, step: Step, reply: Reply, first: Pick<Facts, 'eventMs' | 'sentMs'>): void {
  const { call, plan, sink, transcript, options, before } = stream
  const { facts } = call
  facts.resumed++
  if (plan.side !== undefined) plan.side.served = plan.side.split.sideOf(plan.model, step.candidate.standing)
  // When the model's first word came, and what that took, is for the first attempt to say.
  if (first.eventMs > 0 && facts.eventMs !== first.eventMs) Object.assign(facts, first)
  handOver(facts, options.clock.now())
  stream.reply = reply
  stream.step = step
  stream.disagrees = false
  stream.held = undefined
  // A comment: every reader of events passes over it, and a person who looks at the bytes sees where it was.
  if (!sink.data(Buffer.from(`: resumed by ${step.candidate.upstream} (${step.way})\n\n`))) stream.paused = true
  discard(transcript, options.pages)
  if (step.story === undefined) flowAsItIs(stream)
  else flowBehind(stream, openPassage(step.story, step.seam, { prefix: step.prefix, before }))
  if (stream.paused) stream.tap?.pause()
}
