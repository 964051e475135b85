import type { Call, Layer, Reply, Sink } from '../call.ts'
import type { Alarm, Clock } from '../clock.ts'
import { SidecarError } from '../errors.ts'
import { jsonEnd, type JsonEnd } from '../llm/jsonEnd.ts'
import { isEventStream } from '../llm/sse.ts'
import { hurriedWords } from './deadline.ts'

export interface BodyOptions {
  readonly clock: Clock
  readonly idleMs: number
}

/** Watches answers that are not streams of events: they keep flowing, and are whole when they end. */
export function body({ clock, idleMs }: BodyOptions): Layer {
  return (next) => (call) =>
    next(call).then((reply) => {
      if (isEventStream(reply.status, reply.headers) || (reply.framed && reply.complete())) return reply
      return watched(call, reply, clock, idleMs)
    })
}

function watched({ facts, wishes }: Call, reply: Reply, clock: Clock, boundMs: number): Reply {
  const idleMs = Math.min(boundMs, wishes.readTimeoutMs || Infinity)
  return {
    ...reply,
    flow: (sink) => {
      let alarm: Alarm | undefined
      let paused = false
      let over = false
      const end = reply.framed ? undefined : endOf(reply)
      const watching: Sink = {
        data: (bytes) => {
          if (alarm !== undefined) clock.putOff(alarm, idleMs)
          end?.feed(bytes)
          const go = sink.data(bytes)
          if (!go) paused = true
          return go
        },
        end: (trailers) => {
          clock.clear(alarm)
          alarm = undefined
          over = true
          if (end === undefined || end.closed()) sink.end(trailers)
          else sink.fail(new SidecarError('reply_cut', 'the answer has no declared length, and does not end as a whole one would'))
        },
        fail: (reason) => {
          clock.clear(alarm)
          over = true
          sink.fail(reason)
        },
      }
      const tap = reply.flow(watching)
      const ring = (): void => {
        // A client that does not read makes the upstream wait, and that silence is not the upstream's.
        if (paused) alarm = clock.set(idleMs, ring)
        else {
          facts.hurried = idleMs < boundMs
          tap.close(
            new SidecarError(
              'idle_timeout',
              `no byte of the answer for ${idleMs / 1_000} s${facts.hurried ? hurriedWords : ' (timeouts.idle)'}`,
            ),
          )
        }
      }
      if (!over) alarm = clock.set(idleMs, ring)
      return {
        pause: tap.pause,
        resume: () => {
          paused = false
          // The upstream was kept waiting: its time begins anew.
          if (alarm !== undefined) clock.putOff(alarm, idleMs)
          tap.resume()
        },
        close: tap.close,
      }
    },
  }
}

/** One JSON value shows its own end. Nothing else does, and what may be half is not passed off as whole. */
function endOf({ headers }: Reply): JsonEnd {
  const { 'content-type': type, 'content-encoding': coding = 'identity' } = headers
  return typeof type === 'string' && /^application\/(?:[\w.-]+\+)?json\b/i.test(type) && coding === 'identity' ? jsonEnd() : never
}

const never: JsonEnd = { feed: () => {}, closed: () => false }
