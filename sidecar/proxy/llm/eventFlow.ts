import type { Headers, Reply, Tap } from '../call.ts'
import { SidecarError } from '../errors.ts'
import type { Operation } from './operation.ts'
import { cutter, hasPayload } from './sse.ts'
import { lastBytes, lastNumber, streamEnd } from './streamEnd.ts'

/** Takes whole events. */
export interface EventSink {
  data: (events: Buffer, payload: boolean) => boolean
  end: (trailers?: Headers) => void
  fail: (reason: SidecarError) => void
}

/** A stream of events that nobody needs to read at once: what arrives before it has a reader waits. */
export interface EventFlow extends Tap {
  start: () => void
  into: (sink: EventSink) => void
  /** The first payload event has come. */
  begun: () => boolean
  /** The marker of the end is among the last events. */
  marked: () => boolean
  /** Ends the stream as whole although the upstream has not hung up. */
  endNow: () => void
  /** True while an event too long to keep passes in parts. */
  midEvent: () => boolean
  /** The number of the last event, where events are numbered; else -1. */
  lastNumber: () => number
  /** The first events with a payload, and the last: providers tell at the ends what a stream has cost. */
  told: () => { first: Buffer | undefined; last: string }
}

export interface Watcher {
  /** The first payload event is here. */
  payload: () => void
  /** More has come before it than may wait. */
  full: () => void
  /** There will be no payload. */
  failed: (reason: SidecarError) => void
  /** One answer was asked for: what has its end needs no other. Asked only when the transfer broke. */
  single: () => boolean
}

/** What may wait in memory before the first payload event. */
const mostEarly = 64 * 1024

/** Cuts a reply's bytes into whole events. The unfinished rest is held back, so that what a client has is always whole events. */
export function wholeEvents(reply: Reply, operation: Operation, longestBytes: number, watcher: Watcher): EventFlow {
  const cut = cutter(longestBytes)
  const tail = lastEvents()
  let out: EventSink | undefined
  let early: Buffer[] = []
  let earlyBytes = 0
  let tap: Tap | undefined
  let begun = false
  let first: Buffer | undefined
  let over = false
  let failure: SidecarError | undefined
  let ending: { trailers: Headers | undefined } | undefined

  const data = (bytes: Buffer): boolean => {
    if (over) return true
    const inside = cut.passing()
    const events = cut.take(bytes)
    if (events === undefined) return true
    const payload = inside || hasPayload(events) || cut.passing()
    if (payload) {
      if (!inside || !cut.passing()) tail.add(events, cut.passing())
      if (!begun) {
        begun = true
        first = events
        watcher.payload()
      }
    }
    return pass(events, payload)
  }

  const pass = (events: Buffer, payload: boolean): boolean => {
    if (out !== undefined) return out.data(events, payload)
    early.push(events)
    earlyBytes += events.length
    if (earlyBytes > mostEarly) watcher.full()
    return true
  }

  const end = (trailers?: Headers): void => {
    settle(reply.framed ? 'framed' : 'closed', undefined, trailers)
  }

  const settle = (by: 'framed' | 'closed' | 'broken', reason?: SidecarError, trailers?: Headers): void => {
    if (over) return
    over = true
    // The end of an event that passed in parts will never come, whatever the ones before it said.
    const torn = cut.passing() && (operation !== 'other' || by !== 'framed')
    const last = torn
      ? undefined
      : lastBytes({ operation, tail: tail.text(), left: cut.left(), by, single: by === 'broken' && watcher.single() })
    if (last === undefined) {
      failure = reason ?? new SidecarError('reply_cut', `the stream ended without ${begun ? 'the marker of its end' : 'an event'}`)
      watcher.failed(failure)
      return out?.fail(failure)
    }
    for (const bytes of last) pass(bytes, true)
    ending = { trailers }
    if (!begun) watcher.payload()
    begun = true
    out?.end(trailers)
  }

  return {
    start: () => {
      tap = reply.flow({
        data,
        end,
        fail: (reason) => {
          settle('broken', reason)
        },
      })
    },
    into: (sink) => {
      out = sink
      const waiting = early
      early = []
      let go = true
      for (const events of waiting) go = sink.data(events, begun) && go
      if (!go && !over) tap?.pause()
      if (ending !== undefined) sink.end(ending.trailers)
      else if (failure !== undefined) sink.fail(failure)
    },
    begun: () => begun,
    marked: () => !cut.passing() && streamEnd(operation, tail.text(), false) === 'whole',
    endNow: () => {
      settle('broken')
      tap?.close(new SidecarError('reply_cut', 'the upstream kept the connection of a finished stream open'))
    },
    midEvent: cut.passing,
    lastNumber: () => lastNumber(tail.text()),
    told: () => ({ first, last: tail.end(toldBytes) }),
    pause: () => {
      tap?.pause()
    },
    resume: () => {
      tap?.resume()
    },
    close: (reason) => {
      if (tap === undefined) settle('broken', reason)
      else tap.close(reason)
    },
  }
}

/** What follows the tokens in a last event is short, however long the event is. */
const toldBytes = 16 * 1024

/** Events above this are not kept beside others. */
const small = 64 * 1024

/** Remembers the last three reads that carried something: enough to judge a stream by, and three stores a read. */
function lastEvents(): { add: (events: Buffer, torn: boolean) => void; text: () => string; end: (bytes: number) => string } {
  let first: Buffer | undefined
  let second: Buffer | undefined
  let third: Buffer | undefined
  const text = (): string => `${first?.toString() ?? ''}${second?.toString() ?? ''}${third?.toString() ?? ''}`
  return {
    add: (events, torn) => {
      if (events.length > small) {
        first = undefined
        second = undefined
      } else {
        first = second
        second = third
      }
      // Of an event that passes in parts the first one tells what it is.
      third = torn ? Buffer.concat([events, blankLine]) : events
    },
    text,
    end: (bytes) => (third !== undefined && third.length > bytes ? third.toString('utf8', third.length - bytes) : text()),
  }
}

const blankLine = Buffer.from('\n\n')
