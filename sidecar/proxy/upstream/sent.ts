import { Readable } from 'node:stream'
import { isUpload, type Call, type Tap, type Upload } from '../call.ts'

/** A request body as undici takes it. */
export interface Outgoing {
  readonly body: Buffer | Readable | null
  /** Grows while the body moves. */
  readonly progress: () => number
}

/** Up to here a body goes out in one write; a longer one goes in slices, so that a stalled one shows. */
const oneWrite = 64 * 1024

export function sent(body: Call['body']): Outgoing {
  if (body === undefined) return { body: null, progress: () => 0 }
  if (isUpload(body)) return streamed(body)
  return body.length <= oneWrite ? { body, progress: () => 0 } : sliced(body)
}

function sliced(body: Buffer): Outgoing {
  let at = 0
  const stream = new Readable({
    highWaterMark: oneWrite,
    read() {
      stream.push(at < body.length ? body.subarray(at, (at += oneWrite)) : null)
    },
  })
  return { body: stream, progress: () => at }
}

function streamed(upload: Upload): Outgoing {
  let tap: Tap | undefined
  let bytes = 0
  let over = false
  const stream = new Readable({
    highWaterMark: oneWrite,
    read() {
      if (tap !== undefined) return tap.resume()
      tap = upload.flow({
        data: (chunk) => {
          if (over) return true
          bytes += chunk.length
          return stream.push(chunk)
        },
        end: () => {
          over = true
          stream.push(null)
        },
        fail: (reason) => {
          over = true
          stream.destroy(reason)
        },
      })
    },
    destroy(err, done) {
      // The upstream has answered, or is gone, before the upload was whole: what still comes is thrown away.
      if (!over) tap?.resume()
      over = true
      done(err)
    },
  })
  return { body: stream, progress: () => bytes }
}
