import type { Headers, Reply, Tap } from '../call.ts'
import { SidecarError } from '../errors.ts'
import type { Operation } from './operation.ts'
import { endsWithDone, hasPayload, wholeUpTo } from './sse.ts'
import { streamEnd } from './streamEnd.ts'

/** Takes whole events. */
export interface EventSink {
  data: (events: Buffer, payload: boolean) => boolean
  /** The marker of the end has gone out; bytes may still follow. */
  done: () => void
  end: (trailers?: Headers) => void
  fail: (reason: SidecarError) => void
}

/** A stream of events that nobody needs to read at once: what arrives before it has a reader waits. */
export interface EventFlow extends Tap {
  start: () => void
  into: (sink: EventSink) => void
  /** The marker of the end has been seen. */
  done: () => boolean
  /** Ends the stream as whole although the upstream has not hung up. */
  endNow: () => void
  /** True while an event too long to keep passes in parts. */
  midEvent: () => boolean
}

interface Watcher {
  payload: () => void
  failed: (reason: SidecarError) => void
}

/** The last events are enough to judge a stream by; these are kept, as they came. */
const keptParts = 3

/** Cuts a reply's bytes into whole events. The unfinished rest is held back, so that what a client has is always whole events. */
export function wholeEvents(reply: Reply, operation: Operation, longestBytes: number, watcher: Watcher): EventFlow {
  let out: EventSink | undefined
  let early: Buffer[] = []
  let tap: Tap | undefined
  let rest: Buffer[] = []
  let restBytes = 0
  let last = -1
  let passing = false
  let seenPayload = false
  let done = false
  let over = false
  let failure: SidecarError | undefined
  let ending: { trailers: Headers | undefined } | undefined
  let recent: Buffer[] = []

  const pass = (events: Buffer): boolean => {
    const payload = passing || hasPayload(events)
    if (payload) {
      if (recent.length === keptParts) recent.shift()
      recent.push(events)
      if (!seenPayload) {
        seenPayload = true
        watcher.payload()
      }
    }
    if (!done && endsWithDone(events)) {
      done = true
      out?.done()
    }
    if (out !== undefined) return out.data(events, payload)
    early.push(events)
    return true
  }

  const data = (bytes: Buffer): boolean => {
    if (over) return true
    const end = wholeUpTo(bytes, last)
    last = bytes[bytes.length - 1] ?? last
    if (end === 0) return hold(bytes)
    const whole = end === bytes.length ? bytes : bytes.subarray(0, end)
    const joined = rest.length === 0 ? whole : Buffer.concat([...rest, whole])
    rest = []
    restBytes = 0
    const go = pass(joined)
    passing = false
    return end === bytes.length ? go : hold(bytes.subarray(end)) && go
  }

  const hold = (bytes: Buffer): boolean => {
    if (passing) return pass(bytes)
    rest.push(bytes)
    restBytes += bytes.length
    if (restBytes <= longestBytes) return true
    const long = Buffer.concat(rest)
    rest = []
    restBytes = 0
    passing = true
    return pass(long)
  }

  const fail = (reason: SidecarError): void => {
    if (over) return
    over = true
    failure = reason
    watcher.failed(reason)
    out?.fail(reason)
  }

  const end = (trailers?: Headers): void => {
    if (over) return
    const left = Buffer.concat(rest)
    const tail = Buffer.concat([...recent, left]).toString('utf8')
    const verdict = done ? 'whole' : streamEnd(operation, `${tail}\n\n`, reply.framed)
    if (verdict === 'cut' && !(reply.status >= 300)) {
      return fail(
        new SidecarError('reply_cut', seenPayload ? 'the stream ended without the marker of its end' : 'the stream ended without an event'),
      )
    }
    if (left.length > 0) pass(left)
    // The model had finished and only the marker is missing: a client that waits for it gets it.
    if (verdict === 'missing_done') pass(Buffer.from('data: [DONE]\n\n'))
    over = true
    ending = { trailers }
    if (!seenPayload) watcher.payload()
    out?.end(trailers)
  }

  return {
    start: () => {
      tap = reply.flow({ data, end, fail })
    },
    into: (sink) => {
      out = sink
      const waiting = early
      early = []
      if (done) sink.done()
      let go = true
      for (const events of waiting) go = sink.data(events, true) && go
      if (!go && !over) tap?.pause()
      if (ending !== undefined) sink.end(ending.trailers)
      else if (failure !== undefined) sink.fail(failure)
    },
    done: () => done,
    endNow: () => {
      if (over) return
      over = true
      out?.end()
      tap?.close(new SidecarError('reply_cut', 'the upstream kept the connection of a finished stream open'))
    },
    midEvent: () => passing,
    pause: () => {
      tap?.pause()
    },
    resume: () => {
      tap?.resume()
    },
    close: (reason) => {
      if (tap === undefined) fail(reason)
      else tap.close(reason)
    },
  }
}
