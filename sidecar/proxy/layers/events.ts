import { isUpload, type Call, type Handler, type Layer, type Reply, type Sink, type Tap } from '../call.ts'
import type { Alarm, Clock } from '../clock.ts'
import { SidecarError } from '../errors.ts'
import { wholeEvents, type EventFlow } from '../llm/eventFlow.ts'
import { heartbeat } from '../llm/heartbeat.ts'
import { generates, streamOperation } from '../llm/operation.ts'
import { routeFacts } from '../llm/routeFacts.ts'
import { onlySound } from '../llm/soundEvents.ts'
import { isEventStream } from '../llm/sse.ts'
import { paceOf } from '../pace.ts'
import { cancel, finish, lifeWithin, onOver } from '../life.ts'
import type { Patience } from '../upstream/patience.ts'
import { hurriedWords } from './deadline.ts'

export interface EventsOptions {
  readonly clock: Clock
  /** The longest wait for the first event, as it stands now; hears how long each first byte took, from the request's last byte. */
  readonly patience: Patience
  readonly idleMs: number
  /** Zero for none. */
  readonly heartbeatMs: number
  readonly longestEventBytes: number
  /** A stream that is slower over `idleMs`, in bytes a second, is given up; zero for none. */
  readonly leastRate: number
  /** Whether events without JSON pass, or end the attempt. */
  readonly malformed: 'pass' | 'end'
}

/**
 * Holds a stream back until its first event, so that a failure before it is still an answer with a status; then lets whole events through,
 * watches for silence, and never ends a stream as whole that is not.
 */
export function events(options: EventsOptions): Layer {
  return (next) => (call) => (call.facts.stream ? asked(call, next, options) : next(call).then((reply) => firstEvent(call, reply, options)))
}

/** A call that asks for a stream: its wait for the head is bounded too. */
async function asked(call: Call, next: Handler, options: EventsOptions): Promise<Reply> {
  const life = lifeWithin(call.life)
  const stopWaiting = untilFirst(call, options, (reason) => {
    cancel(life, reason)
  })
  onOver(call.life, () => {
    finish(life, undefined)
  })
  try {
    const reply = await next({ ...call, life })
    stopWaiting()
    return await firstEvent(call, reply, options)
  } finally {
    stopWaiting()
  }
}

/** Bounds the wait for the first event. The clock runs from the moment the request is wholly sent: other waits have bounds of their own. */
function untilFirst(call: Call, options: EventsOptions, give: (reason: SidecarError) => void): () => void {
  const { clock } = options
  const { facts, wishes } = call
  const ours = options.patience.current(modelOf(call), call.last)
  const patience = Math.min(ours, wishes.timeoutMs || Infinity, wishes.readTimeoutMs || Infinity)
  const ring = (): void => {
    const left = facts.sentMs === 0 ? patience : facts.sentMs + patience - clock.now()
    if (left > 0) alarm = clock.set(left, ring)
    else {
      facts.hurried = patience < ours
      if (!facts.hurried) options.patience.gaveUp(modelOf(call))
      give(
        new SidecarError(
          'first_event_timeout',
          `no event of the stream within ${patience / 1_000} s${facts.hurried ? hurriedWords : ' (timeouts.firstEvent)'}`,
        ),
      )
    }
  }
  let alarm = clock.set(patience, ring)
  return () => {
    clock.clear(alarm)
  }
}

/** The stream once its first event is here; anything else as it is. */
function firstEvent(call: Call, reply: Reply, options: EventsOptions): Reply | Promise<Reply> {
  if (!isEventStream(reply.status, reply.headers) || call.method === 'HEAD') {
    if (reply.status === 200 && !call.facts.stream && modelOf(call) !== '') took(call, call.facts.headMs, options)
    return reply
  }
  reply.headers['x-accel-buffering'] = 'no'
  // A heartbeat or an error of ours would not fit into a declared length.
  reply.headers['content-length'] = undefined
  call.facts.stream = true
  call.facts.oursMs = 0
  return new Promise((give, refuse) => {
    const { clock, heartbeatMs } = options
    let given = false
    const stopWaiting = untilFirst(call, options, (reason) => {
      flow.close(reason)
    })
    const commit = (): void => {
      if (given) return
      given = true
      clock.clear(waited)
      give(through(call, reply, flow, options))
    }
    // A client behind a balancer that cuts silent connections needs a sign of life before the model has said anything.
    const waited = heartbeatMs > 0 ? clock.set(heartbeatMs, commit) : undefined
    const operation = streamOperation(call.path)
    const sound = options.malformed === 'end' && generates(operation) ? onlySound(reply, options.longestEventBytes) : reply
    const flow = wholeEvents(sound, operation, options.longestEventBytes, {
      single: () => call.body !== undefined && !isUpload(call.body) && routeFacts(call.body).n === 1,
      payload: () => {
        stopWaiting()
        const now = clock.now()
        call.facts.eventMs = now
        if (!given) call.facts.oursMs = now
        took(call, now, options)
        commit()
      },
      full: commit,
      failed: (reason) => {
        stopWaiting()
        clock.clear(waited)
        if (given) return
        given = true
        refuse(reason)
      },
    })
    flow.start()
  })
}

/** What is still being sent when its answer begins says nothing of the model. */
function took(call: Call, firstMs: number, { patience }: EventsOptions): void {
  const { sentMs, stream } = call.facts
  if (sentMs > 0 && !isUpload(call.body)) patience.took(modelOf(call), stream, firstMs - sentMs)
}

const modelOf = ({ plan }: Call): string => plan?.model ?? ''

/** The stream from its first event on. */
function through(call: Call, reply: Reply, flow: EventFlow, options: EventsOptions): Reply {
  return {
    ...reply,
    // A heartbeat or an error may still be put into it.
    complete: () => false,
    lastNumber: flow.lastNumber,
    told: flow.told,
    flow: (sink) => watched(flow, sink, options, call),
    drop: () => {
      flow.into(nowhere)
      flow.close(new SidecarError('client_gone', 'nobody reads the stream'))
    },
  }
}

/** Lets the stream flow under one alarm that serves three waits: it is set for the next of them, and moved by no event. */
function watched(flow: EventFlow, sink: Sink, { clock, heartbeatMs, idleMs, leastRate }: EventsOptions, { facts, wishes }: Call): Tap {
  const patience = Math.min(idleMs, wishes.readTimeoutMs || Infinity)
  let paused = false
  let over = false
  let alarm: Alarm | undefined
  /** When the client last got anything, and when a payload event: nothing else proves that the model is at work. */
  let heardMs = clock.now()
  let eventMs = flow.begun() ? heardMs : Infinity
  let judgedMs = 0
  const pace = paceOf(leastRate, patience)
  pace.restart(eventMs)
  let untouched = true
  let beaten = false

  const leave = (): void => {
    over = true
    clock.clear(alarm)
  }
  const beat = (now: number): void => {
    heardMs = now
    if (flow.midEvent()) return
    beaten = true
    if (sink.data(heartbeat)) return
    paused = true
    flow.pause()
  }
  const look = (): void => {
    const now = clock.now()
    if (now - eventMs >= afterEndMs && judgedMs !== eventMs) {
      judgedMs = eventMs
      // The client need not wait for an upstream that has said all and forgets to hang up.
      if (flow.marked()) return flow.endNow()
    }
    // A client that does not read makes the upstream wait, and that silence is not the upstream's.
    if (!paused) {
      if (now - eventMs >= patience) {
        facts.hurried = patience < idleMs
        return flow.close(silent(patience, facts.hurried))
      }
      if (now >= pace.dueMs() && pace.isTooSlow(now)) return flow.close(tooSlow(leastRate, patience))
      if (heartbeatMs > 0 && now - heardMs >= heartbeatMs) beat(now)
    }
    if (!over) alarm = clock.set(untilNext(now), look)
  }
  const untilNext = (now: number): number => {
    if (paused) return afterEndMs
    const due = Math.min(
      eventMs + patience,
      judgedMs === eventMs ? Infinity : eventMs + afterEndMs,
      heartbeatMs > 0 ? heardMs + heartbeatMs : Infinity,
      pace.dueMs(),
    )
    return Math.max(0, Math.min(due - now, patience))
  }

  alarm = clock.set(untilNext(heardMs), look)
  flow.into({
    data: (events, payload) => {
      heardMs = clock.now()
      if (payload) {
        if (eventMs === Infinity) pace.restart(heardMs)
        eventMs = heardMs
        pace.bytes += events.length
      }
      let bytes = events
      if (untouched) {
        untouched = false
        if (beaten) bytes = withoutBom(events)
      }
      const go = sink.data(bytes)
      if (!go) paused = true
      return go
    },
    end: (trailers) => {
      leave()
      sink.end(trailers)
    },
    fail: (reason) => {
      leave()
      // What the reason becomes must not land inside an event, be it one that will never be whole.
      if (flow.midEvent()) sink.data(blankLine)
      sink.fail(reason)
    },
  })
  // The head alone would wait for the first byte behind it.
  if (untouched && !over) beat(heardMs)
  return {
    pause: () => {
      paused = true
      flow.pause()
    },
    resume: () => {
      if (paused) {
        paused = false
        heardMs = clock.now()
        if (flow.begun()) {
          eventMs = heardMs
          pace.restart(heardMs)
        }
      }
      flow.resume()
    },
    close: flow.close,
  }
}

const silent = (ms: number, hurried: boolean): SidecarError =>
  new SidecarError('idle_timeout', `no event of the stream for ${ms / 1_000} s${hurried ? hurriedWords : ' (timeouts.idle)'}`)

const tooSlow = (leastRate: number, patience: number): SidecarError =>
  new SidecarError('idle_timeout', `fewer than ${leastRate} bytes a second of the stream (streams.leastRate) for ${patience / 1_000} s`)

/** How long a stream whose end has been marked may stay open. */
const afterEndMs = 1_000
const blankLine = Buffer.from('\n\n')
const nowhere = { data: () => true, end: () => {}, fail: () => {} }

/** A byte order mark is one only at the very beginning, and there a heartbeat stands. */
const withoutBom = (bytes: Buffer): Buffer => (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? bytes.subarray(3) : bytes)
