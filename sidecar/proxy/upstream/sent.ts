import { Readable } from 'node:stream'
import { isUpload, type Call, type Tap, type Upload } from '../call.ts'

/** A request body as undici takes it. */
export interface Outgoing {
  readonly body: Buffer | Readable | null
  /** What undici cannot know: a body in parts would go out chunked, and not every upstream takes that. */
  readonly length: number | undefined
  /** Grows while the body is taken. */
  readonly progress: () => number
  /** All that has come is taken: it is the client who keeps the upstream waiting. */
  readonly waiting: () => boolean
}

/** Up to here a body goes out in one write; a longer one goes in slices, so that a stalled one shows. */
const oneWrite = 64 * 1024
/** Small, for a write counts as movement only when all of it is gone. */
const slice = 16 * 1024

export function sent(body: Call['body']): Outgoing {
  if (body === undefined) return { body: null, length: undefined, ...unseen }
  if (isUpload(body)) return streamed(body)
  return body.length <= oneWrite ? { body, length: undefined, ...unseen } : sliced(body)
}

const unseen = { progress: () => 0, waiting: () => false }

function sliced(body: Buffer): Outgoing {
  let at = 0
  const stream = new Readable({
    highWaterMark: oneWrite,
    read() {
      stream.push(at < body.length ? body.subarray(at, (at += slice)) : null)
    },
  })
  return { body: stream, length: body.length, progress: () => at - stream.readableLength, waiting: () => false }
}

function streamed(upload: Upload): Outgoing {
  let tap: Tap | undefined
  let bytes = 0
  let over = false
  // An upstream that has answered early and hung up must be read before it is written to: the failing write would cost its answer.
  const later = (chunk: Buffer | null): void => {
    setImmediate(() => {
      if (over) return
      if (chunk === null) over = true
      stream.push(chunk)
    })
  }
  const stream = new Readable({
    highWaterMark: oneWrite,
    read() {
      if (tap !== undefined) return tap.resume()
      tap = upload.flow({
        data: (chunk) => {
          if (over) return true
          bytes += chunk.length
          later(chunk)
          return false
        },
        end: () => {
          later(null)
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
  // Undici listens only while it sends; a client that fails after that must not end the process.
  stream.on('error', () => {})
  return { body: stream, length: upload.length, progress: () => bytes - stream.readableLength, waiting: () => stream.readableLength === 0 }
}
