import type { ServerResponse } from 'node:http'
import type { Sink, Tap, Upload } from '../call.ts'
import type { Alarm, Clock } from '../clock.ts'
import { SidecarError } from '../errors.ts'
import type { Facts } from '../facts.ts'
import type { Held } from '../layers/read.ts'
import { onOver, type Life } from '../life.ts'
import { halfClosed } from './halfClosed.ts'
import type { LeanRequest, Taker } from './leanRequest.ts'

export interface UploadOptions {
  readonly clock: Clock
  /** The longest silence of a client in the middle of its body. */
  readonly silenceMs: number
  /** The client waits for `100 Continue` before it sends. */
  readonly asksFirst: boolean
  /** What is read ahead is held in memory like any body. */
  readonly held: Held
  readonly life: Life
  /** Why the client's bytes stopped making sense, when they did. */
  readonly broken: (req: LeanRequest) => SidecarError | undefined
}

export interface Incoming {
  readonly req: LeanRequest
  readonly res: ServerResponse
  readonly length: number | undefined
  readonly facts: Facts
}

/**
 * While nobody takes an upload, the client's leaving would go unseen: what it has sent stands in front of it. So it is read ahead, after half
 * a second and up to this much, which is more than most kernels keep for a connection. Behind still more, the kernel is asked.
 */
const aheadBytes = 8 * 1024 * 1024
const aheadAfterMs = 500

/** A request's body, pushed. */
export function upload({ req, res, length, facts }: Incoming, options: UploadOptions): Upload {
  let untouched = true
  return {
    length,
    untouched: () => untouched,
    flow: (sink) => {
      const tap = flowing(req, options, {
        data: (bytes) => {
          untouched = false
          facts.bytesIn += bytes.length
          return sink.data(bytes)
        },
        end: sink.end,
        fail: sink.fail,
      })
      // Only now: a client that asks first is not told to go on before its request has been looked at.
      if (options.asksFirst) goOn(res)
      return tap
    },
  }
}

function goOn(res: ServerResponse): void {
  if (res.headersSent || res.destroyed) return
  // Behind another answer Node would keep it for later, behind the head of its own.
  if (res.socket === null)
    res.once('socket', () => {
      goOn(res)
    })
  else res.writeContinue()
}

const gone = (cause?: Error | null): SidecarError =>
  new SidecarError('client_gone', 'the client closed its connection before its request was whole', cause ? { cause } : undefined)

const silent = (ms: number): SidecarError =>
  new SidecarError('client_timeout', `the client sent no byte of its request body for ${ms / 1_000} s (timeouts.clientBody)`)

function flowing(req: LeanRequest, { clock, silenceMs, held, life, broken }: UploadOptions, sink: Sink): Tap {
  let ahead: Buffer[] = []
  let aheadSize = 0
  let paused = false
  let ended = false
  let over = false
  let silence: Alarm | undefined
  let looking: Alarm | undefined

  const settle = (): void => {
    if (over) return
    over = true
    clock.clear(silence)
    clock.clear(looking)
    held.bytes -= aheadSize
    ahead = []
    aheadSize = 0
    // What still comes is thrown away: the client's leaving must be seen behind it.
    if (paused && !ended) req.resume()
  }
  const fail = (reason: SidecarError): void => {
    if (over) return
    settle()
    sink.fail(reason)
  }
  const end = (): void => {
    ended = true
    // Whoever pauses may not be ready for the end either: it comes when the flow goes on.
    if (over || paused) return
    settle()
    sink.end()
  }
  const hold = (): void => {
    paused = true
    req.pause()
    req.handToStream()
    looking = clock.set(aheadAfterMs, look)
  }
  const look = (): void => {
    looking = undefined
    if (!paused || ended) return
    if (mayReadAhead()) req.resume()
    else lookBehind()
  }
  const lookBehind = (): void => {
    req.pause()
    clock.clear(looking)
    looking = clock.set(aheadAfterMs, look)
    halfClosed(req.socket).then(
      (closed) => {
        if (closed) fail(gone())
      },
      () => {},
    )
  }
  const mayReadAhead = (): boolean => aheadSize < aheadBytes && held.bytes < held.limit
  const onSilence = (): void => {
    if (paused || ended) silence = clock.set(silenceMs, onSilence)
    else fail(silent(silenceMs))
  }

  const taker: Taker = {
    data: (bytes) => {
      if (over) return
      if (silence !== undefined) clock.putOff(silence, silenceMs)
      if (!paused) {
        if (!sink.data(bytes) && !over) hold()
        return
      }
      ahead.push(bytes)
      aheadSize += bytes.length
      held.bytes += bytes.length
      if (!mayReadAhead()) lookBehind()
    },
    end,
    lost: (err) => {
      fail(broken(req) ?? gone(err))
    },
  }
  silence = clock.set(silenceMs, onSilence)
  onOver(life, settle)
  req.handTo(taker)

  return {
    pause: () => {
      if (!paused && !over) hold()
    },
    resume: () => {
      if (over || !paused) return
      paused = false
      clock.clear(looking)
      while (ahead.length > 0 && !paused) {
        const bytes = ahead.shift()
        if (bytes === undefined) break
        aheadSize -= bytes.length
        held.bytes -= bytes.length
        if (!sink.data(bytes)) return over ? undefined : hold()
      }
      if (ended) end()
      else if (!paused) req.resume()
    },
    close: fail,
  }
}
