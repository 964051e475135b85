import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Facts, Sink, Tap, Upload } from '../call.ts'
import type { Alarm, Clock } from '../clock.ts'
import { SidecarError } from '../errors.ts'

export interface UploadOptions {
  readonly clock: Clock
  /** The longest silence of a client in the middle of its body. */
  readonly silenceMs: number
  /** Why the client's bytes stopped making sense, when they did. */
  readonly broken: () => SidecarError | undefined
}

/**
 * While nobody takes an upload, the client's leaving would go unseen: what it has sent stands in front of it. So it is read ahead, after half
 * a second and up to this much, which is more than a kernel keeps for a connection.
 */
const aheadBytes = 8 * 1024 * 1024
const aheadAfterMs = 500

/** A request's body, pushed. */
export function upload(
  req: IncomingMessage,
  res: ServerResponse,
  length: number | undefined,
  facts: Facts,
  options: UploadOptions,
): Upload {
  let untouched = true
  return {
    length,
    untouched: () => untouched,
    flow: (sink) =>
      flowing(
        req,
        options,
        {
          ...sink,
          data: (bytes) => {
            untouched = false
            facts.bytesIn += bytes.length
            return sink.data(bytes)
          },
        },
        () => {
          // Only now: a client that asks first is not told to go on before its request has been looked at.
          if (req.headers.expect !== undefined && !res.headersSent && !res.writableEnded) res.writeContinue()
        },
      ),
  }
}

function flowing(req: IncomingMessage, { clock, silenceMs, broken }: UploadOptions, sink: Sink, begin: () => void): Tap {
  let ahead: Buffer[] = []
  let aheadSize = 0
  let paused = false
  let ended = false
  let over = false
  let silence: Alarm | undefined
  let looking: Alarm | undefined

  const settle = (): void => {
    over = true
    clock.clear(silence)
    clock.clear(looking)
    ahead = []
  }
  const fail = (reason: SidecarError): void => {
    if (over) return
    settle()
    sink.fail(reason)
  }
  const end = (): void => {
    ended = true
    if (over || (paused && ahead.length > 0)) return
    settle()
    sink.end()
  }
  const hold = (): void => {
    paused = true
    req.pause()
    looking = clock.set(aheadAfterMs, () => {
      looking = undefined
      if (paused && aheadSize < aheadBytes) req.resume()
    })
  }
  const onSilence = (): void => {
    if (paused || ended) silence = clock.set(silenceMs, onSilence)
    else fail(new SidecarError('client_timeout', `no byte of the request body for ${silenceMs / 1_000} s`))
  }

  silence = clock.set(silenceMs, onSilence)
  req.on('data', (bytes: Buffer) => {
    if (over) return
    if (silence !== undefined) clock.putOff(silence, silenceMs)
    if (!paused) {
      if (!sink.data(bytes) && !over) hold()
      return
    }
    ahead.push(bytes)
    aheadSize += bytes.length
    if (aheadSize >= aheadBytes) req.pause()
  })
  req.on('end', end)
  req.on('error', (err) => {
    fail(broken() ?? new SidecarError('client_gone', 'the client closed its connection before its request was whole', { cause: err }))
  })
  begin()

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
        aheadSize -= bytes?.length ?? 0
        if (bytes !== undefined && !sink.data(bytes)) return hold()
      }
      if (ended) end()
      else req.resume()
    },
    close: fail,
  }
}
