import type { Reply } from '../call.ts'
import { SidecarError } from '../errors.ts'
import { cutter, parseEvents } from './sse.ts'

/** The reply as far as its events hold JSON: at one that does not it fails, and nobody gets that one. What is too long to be kept passes. */
export function onlySound(reply: Reply, longestBytes: number): Reply {
  return {
    ...reply,
    flow: (sink) => {
      const cut = cutter(longestBytes)
      let over = false
      const spoiled = (): void => {
        over = true
        const reason = new SidecarError('bad_reply', 'an event of the stream is no JSON (streams.malformed: end)')
        // The tap may not be in hand yet.
        queueMicrotask(() => {
          tap.close(reason)
        })
        sink.fail(reason)
      }
      const tap = reply.flow({
        data: (bytes) => {
          const inside = cut.passing()
          const events = over ? undefined : cut.take(bytes)
          if (events === undefined) return true
          const sound = inside || cut.passing() ? events.length : soundUpTo(events)
          const go = sound === 0 || sink.data(events.subarray(0, sound))
          if (sound < events.length) spoiled()
          return go
        },
        end: (trailers) => {
          if (over) return
          over = true
          const left = cut.left()
          if (left.length > 0) sink.data(left)
          sink.end(trailers)
        },
        fail: (reason) => {
          if (over) return
          over = true
          sink.fail(reason)
        },
      })
      return tap
    },
  }
}

/** How far whole events go before the first whose data is no JSON; their length where all are sound. Looks into each of them. */
export function soundUpTo(events: Buffer): number {
  // One character for each byte, so that places in the text are places in the bytes.
  const text = events.toString('latin1')
  const ends = /(?:\r\n|\n|\r(?!\n)){2}/g
  let from = 0
  while (from < text.length) {
    const found = ends.exec(text)
    const to = found === null ? text.length : ends.lastIndex
    if (!parseEvents(events.toString('utf8', from, to)).every(({ data }) => data === '[DONE]' || isJson(data))) return from
    from = to
  }
  return events.length
}

function isJson(data: string): boolean {
  try {
    JSON.parse(data)
    return true
  } catch {
    return false
  }
}
