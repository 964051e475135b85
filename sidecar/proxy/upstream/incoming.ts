import { type Headers, type Sink, type Tap } from '../call.ts'
import type { SidecarError } from '../errors.ts'

/** What is let into memory before anyone has asked for the body; more of it waits in the socket. */
const earlyBytes = 64 * 1024

/** The body of an answer between the parser, which pushes it, and its reader, who may come later. */
export interface Incoming {
  /** False asks for a pause. */
  readonly data: (bytes: Buffer) => boolean
  readonly end: (trailers: Headers) => void
  readonly fail: (reason: SidecarError) => void
  readonly complete: () => boolean
  /** What has come, as long as nobody has taken it. */
  readonly waiting: () => readonly Buffer[]
  readonly flow: (sink: Sink) => Tap
}

export function incoming(tap: Tap): Incoming {
  let sink: Sink | undefined
  let early: Buffer[] | undefined
  let held = 0
  let ended: { trailers: Headers } | undefined
  let failure: SidecarError | undefined
  return {
    data: (bytes) => {
      if (sink !== undefined) return sink.data(bytes)
      early ??= []
      early.push(bytes)
      held += bytes.length
      return held <= earlyBytes
    },
    end: (trailers) => {
      ended = { trailers }
      sink?.end(trailers)
    },
    fail: (reason) => {
      failure = reason
      sink?.fail(reason)
    },
    complete: () => ended !== undefined,
    waiting: () => early ?? [],
    flow: (to) => {
      sink = to
      let go = true
      if (early !== undefined) for (const bytes of early) go = to.data(bytes) && go
      early = undefined
      if (ended !== undefined) to.end(ended.trailers)
      else if (failure !== undefined) to.fail(failure)
      else if (go) tap.resume()
      else tap.pause()
      return tap
    },
  }
}
