import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'

/** One request as the provider saw it. */
export type Seen = {
  /** `performance.now()` when its head was there. */
  readonly at: number
  readonly method: string
  readonly path: string
  readonly headers: IncomingHttpHeaders
  /** Names and values in turn, in the order and the case of the wire. */
  readonly rawHeaders: readonly string[]
  /** What has come so far; everything once `whole` has resolved. */
  readonly body: Buffer
  /** The whole body; rejects when the client leaves in the middle of it. */
  readonly whole: Promise<Buffer>
  /** True once the client has left before the answer was whole. */
  readonly aborted: boolean
  /** Resolves when the exchange is over, with `aborted`. */
  readonly closed: Promise<boolean>
}

export type Witness = {
  readonly seen: Seen
  /** Says that this side ends the exchange, so that its end is not taken for the client's. */
  readonly leave: () => void
}

/** Keeps what a client sent and notices when it goes. */
export function witness(req: IncomingMessage, res: ServerResponse): Witness {
  const chunks: Buffer[] = []
  const whole = Promise.withResolvers<Buffer>()
  const closed = Promise.withResolvers<boolean>()
  let aborted = false
  let left = false
  // Nobody has to care for a body whose client is gone.
  whole.promise.catch(() => {})
  req.on('data', (chunk: Buffer) => chunks.push(chunk))
  req.on('end', () => whole.resolve(Buffer.concat(chunks)))
  req.on('error', () => {})
  res.on('close', () => {
    aborted = !left && !res.writableFinished
    whole.reject(new Error(`the client left after ${chunks.length} chunks of its body`))
    closed.resolve(aborted)
  })
  const seen: Seen = {
    at: performance.now(),
    method: req.method ?? '',
    path: req.url ?? '',
    headers: req.headers,
    rawHeaders: [...req.rawHeaders],
    get body() {
      return Buffer.concat(chunks)
    },
    whole: whole.promise,
    get aborted() {
      return aborted
    },
    closed: closed.promise,
  }
  const leave = () => {
    left = true
  }
  return { seen, leave }
}
