import { isUpload, type Call, type Layer, type Sink, type Tap, type Upload } from '../call.ts'
import { SidecarError } from '../errors.ts'
import { handOver } from '../facts.ts'
import { onCancel, offCancel, onOver } from '../life.ts'
import { scanBody } from '../llm/body.ts'

/** Bytes that all calls together hold in memory. */
export interface Held {
  bytes: number
  limit: number
}

export interface ReadOptions {
  readonly now: () => number
  readonly jsonBytes: number
  readonly uploadBytes: number
  readonly replayBytes: number
  readonly held: Held
}

/**
 * Keeps the body of a call so that it can be sent again, and reads out of it what the layers below act on. What is too large to keep, or no
 * JSON, flows through and can be sent once.
 */
export function read(options: ReadOptions): Layer {
  const json = { bytes: options.jsonBytes, setting: 'limits.jsonBody' }
  const uploads = { bytes: options.uploadBytes, setting: 'limits.uploadBody' }
  return (next) => async (call) => {
    const { body } = call
    if (!isUpload(body)) return next(call)
    const limit = isJson(call.wishes.contentType) ? json : uploads
    if (body.length !== undefined && body.length > limit.bytes) throw tooLarge(limit)
    const kept = isJson(call.wishes.contentType) && (body.length ?? 0) <= options.replayBytes
    if (!kept) return next({ ...call, body: limited(body, limit) })
    // A body that has no room is refused before it is sent: who asks first is not told to go on.
    if (options.held.bytes + (body.length ?? 0) > options.held.limit) throw tooMuch(options.held, body.length ?? 0)
    handOver(call.facts, options.now())
    const all = await collect(call, body, limit, options)
    call.facts.oursMs = options.now()
    if (isUpload(all)) return next({ ...call, body: all })
    const { model, stream } = scanBody(all)
    call.facts.model = model
    call.facts.stream = stream
    return await next({ ...call, body: all, headers: stream ? uncompressed(call.headers) : call.headers })
  }
}

/** Without a type it may be anything; small requests without one are nearly always JSON sent by hand. */
const isJson = (type: string): boolean => type === '' || /json|^text\/|x-www-form-urlencoded|^application\/sdp/i.test(type)

interface Limit {
  readonly bytes: number
  readonly setting: string
}

const tooLarge = ({ bytes, setting }: Limit): SidecarError =>
  new SidecarError('body_too_large', `the body is larger than ${bytes} bytes, the most that ${setting} allows`)

/** A compressed stream could not be cut into events. */
export function uncompressed(headers: readonly string[]): readonly string[] {
  const kept: string[] = []
  for (let at = 0; at < headers.length; at += 2) {
    const name = headers[at] ?? ''
    if (name.length !== 15 || name.toLowerCase() !== 'accept-encoding') kept.push(name, headers[at + 1] ?? '')
  }
  return kept
}

/** Waits for the whole body; one that outgrows what may be kept comes back as an upload that begins with what was read of it. */
function collect(call: Call, upload: Upload, limit: Limit, { replayBytes, held }: ReadOptions): Promise<Buffer | Upload> {
  return new Promise((give, refuse) => {
    const chunks: Buffer[] = []
    let bytes = 0
    let taken = 0
    let sink: Sink | undefined
    let tap: Tap | undefined
    let refused = false
    const letGo = (): void => {
      held.bytes -= taken
      taken = 0
    }
    const stop = (reason: SidecarError): void => {
      if (refused) return
      refused = true
      letGo()
      refuse(reason)
      tap?.close(reason)
    }
    const flowOn = (): void => {
      offCancel(call.life, stop)
      const attach = (to: Sink): Tap | undefined => {
        sink = to
        letGo()
        return tap
      }
      give(limited(continued(upload, chunks, attach), limit))
    }
    onCancel(call.life, stop)
    onOver(call.life, letGo)
    const collecting: Sink = {
      data: (chunk) => {
        if (sink !== undefined) return sink.data(chunk)
        if (refused) return true
        bytes += chunk.length
        if (bytes > limit.bytes) stop(tooLarge(limit))
        else if (held.bytes + chunk.length > held.limit) stop(tooMuch(held, bytes))
        else {
          chunks.push(chunk)
          taken += chunk.length
          held.bytes += chunk.length
          if (bytes <= replayBytes) return true
          flowOn()
        }
        return false
      },
      end: () => {
        if (sink !== undefined) return sink.end()
        offCancel(call.life, stop)
        give(chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks, bytes))
      },
      fail: (reason) => {
        if (sink === undefined) stop(reason)
        else sink.fail(reason)
      },
    }
    tap = upload.flow(collecting)
  })
}

function tooMuch({ limit }: Held, bytes: number): SidecarError {
  // It would find no room later either.
  if (bytes > limit)
    return new SidecarError(
      'body_too_large',
      `the body is larger than ${limit} bytes, the most that limits.memory allows all bodies together`,
    )
  return new SidecarError(
    'proxy_overloaded',
    `there is no room for the body: those of all calls in flight may have ${limit} bytes together (limits.memory)`,
    { retryAfterMs: 1_000 },
  )
}

/** The body goes on where collecting stopped. */
function continued(upload: Upload, chunks: Buffer[], attach: (sink: Sink) => Tap | undefined): Upload {
  return {
    length: upload.length,
    untouched: () => chunks.length > 0,
    flow: (sink) => {
      const tap = attach(sink) ?? idle
      let go = true
      for (const chunk of chunks.splice(0)) go = sink.data(chunk) && go
      if (go) tap.resume()
      return tap
    },
  }
}

const idle: Tap = { pause: () => {}, resume: () => {}, close: () => {} }

/** An upload whose length was not declared is counted as it passes. */
function limited(upload: Upload, limit: Limit): Upload {
  if (upload.length !== undefined) return upload
  return {
    length: undefined,
    untouched: upload.untouched,
    flow: (sink) => {
      let bytes = 0
      const tap: Tap = upload.flow({
        data: (chunk) => {
          bytes += chunk.length
          if (bytes <= limit.bytes) return sink.data(chunk)
          tap.close(tooLarge(limit))
          return false
        },
        end: () => {
          sink.end()
        },
        fail: sink.fail,
      })
      return tap
    },
  }
}
