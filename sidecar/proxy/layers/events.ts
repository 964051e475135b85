import { isUpload, type Call, type Layer, type Reply } from '../call.ts'
import type { Alarm, Clock } from '../clock.ts'
import { SidecarError } from '../errors.ts'
import { wholeEvents, type EventFlow } from '../llm/eventFlow.ts'
import { isEventStream } from '../llm/sse.ts'
import { cancel, finish, lifeWithin, onOver } from '../life.ts'

export interface EventsOptions {
  readonly clock: Clock
  /** The longest wait for the first event, as it stands now. */
  readonly firstEventMs: () => number
  /** Hears how long each first event took, from the request's last byte. */
  readonly observeFirstEvent: (ms: number) => void
  readonly idleMs: number
  /** Zero for none. */
  readonly heartbeatMs: number
  readonly longestEventBytes: number
}

/**
 * Holds a stream back until its first event, so that a failure before it is still an answer with a status; then lets whole events through,
 * watches for silence, and never ends a stream as whole that is not.
 */
export function events(options: EventsOptions): Layer {
  return (next) => async (call) => {
    if (!call.facts.stream) {
      const reply = await next(call)
      return isEventStream(reply.headers) ? firstEvent(call, reply, options) : reply
    }
    const life = lifeWithin(call.life)
    const alarm = untilFirst(call, options, (reason) => {
      cancel(life, reason)
    })
    onOver(call.life, () => {
      finish(life, undefined)
    })
    try {
      const reply = await next({ ...call, life })
      return isEventStream(reply.headers) ? await firstEvent(call, reply, options) : reply
    } finally {
      options.clock.clear(alarm.current)
    }
  }
}

/** Bounds the wait for the first event. The clock runs from the moment the request is wholly sent: other waits have bounds of their own. */
function untilFirst(call: Call, options: EventsOptions, give: (reason: SidecarError) => void): { current: Alarm | undefined } {
  const { clock } = options
  const { facts, wishes } = call
  const patience = Math.min(options.firstEventMs(), wishes.timeoutMs || Infinity, wishes.readTimeoutMs || Infinity)
  const ring = (): void => {
    const left = facts.sentMs === 0 ? patience : facts.sentMs + patience - clock.now()
    if (left > 0) alarm.current = clock.set(left, ring)
    else give(new SidecarError('first_event_timeout', `no event of the stream within ${patience / 1_000} s`))
  }
  const alarm: { current: Alarm | undefined } = { current: clock.set(patience, ring) }
  return alarm
}

function firstEvent(call: Call, reply: Reply, options: EventsOptions): Promise<Reply> {
  reply.headers['x-accel-buffering'] = 'no'
  call.facts.stream = true
  return new Promise((give, refuse) => {
    const { clock, heartbeatMs } = options
    let given = false
    const commit = (): void => {
      if (given) return
      given = true
      clock.clear(alarm.current)
      clock.clear(waited)
      give(through(call, reply, flow, options))
    }
    const alarm = untilFirst(call, options, (reason) => {
      flow.close(reason)
    })
    // A client behind a balancer that cuts silent connections needs a sign of life before the model has said anything.
    const waited = heartbeatMs > 0 ? clock.set(heartbeatMs, commit) : undefined
    const flow: EventFlow = wholeEvents(reply, call.facts.operation, options.longestEventBytes, {
      payload: () => {
        if (call.facts.sentMs > 0 && !isUpload(call.body)) options.observeFirstEvent(clock.now() - call.facts.sentMs)
        commit()
      },
      failed: (reason) => {
        if (given) return
        given = true
        clock.clear(alarm.current)
        clock.clear(waited)
        refuse(reason)
      },
    })
    flow.start()
  })
}

/** The stream from its first event on. */
function through(call: Call, reply: Reply, flow: EventFlow, { clock, idleMs, heartbeatMs }: EventsOptions): Reply {
  return {
    ...reply,
    flow: (sink) => {
      const patience = Math.min(idleMs, call.wishes.readTimeoutMs || Infinity)
      let paused = false
      let silence: Alarm | undefined
      let beat: Alarm | undefined
      const over = (): void => {
        clock.clear(silence)
        clock.clear(beat)
        silence = undefined
        beat = undefined
      }
      const onSilence = (): void => {
        // A client that does not read makes the upstream wait, and that silence is not the upstream's.
        if (paused) silence = clock.set(patience, onSilence)
        else if (flow.done()) flow.endNow()
        else flow.close(new SidecarError('idle_timeout', `no event of the stream for ${patience / 1_000} s`))
      }
      const onBeat = (): void => {
        if (!paused && !flow.midEvent()) paused = !sink.data(heartbeat)
        beat = clock.set(heartbeatMs, onBeat)
      }
      silence = clock.set(patience, onSilence)
      if (heartbeatMs > 0) beat = clock.set(heartbeatMs, onBeat)
      flow.into({
        data: (bytes, payload) => {
          if (payload && silence !== undefined) clock.putOff(silence, patience)
          if (beat !== undefined) clock.putOff(beat, heartbeatMs)
          const go = sink.data(bytes)
          if (!go) paused = true
          return go
        },
        end: (trailers) => {
          over()
          sink.end(trailers)
        },
        fail: (reason) => {
          over()
          sink.fail(reason)
        },
        // What follows the marker of the end is of no interest: the client need not wait for an upstream that forgets to hang up.
        done: () => {
          clock.clear(silence)
          silence = clock.set(afterDoneMs, onSilence)
        },
      })
      return {
        pause: flow.pause,
        resume: () => {
          paused = false
          flow.resume()
        },
        close: flow.close,
      }
    },
  }
}

const afterDoneMs = 1_000
const heartbeat = Buffer.from(': still here\n\n')
