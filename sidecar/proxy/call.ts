import type { SidecarError } from './errors.ts'
import type { Facts } from './facts.ts'
import type { Headers } from './headers.ts'
import type { Life } from './life.ts'
import type { Plan } from './plan.ts'

export type { Headers } from './headers.ts'

/** Takes bytes: any number of `data`, then exactly one of `end` and `fail`. */
export interface Sink {
  /** False asks for a pause. */
  data: (bytes: Buffer) => boolean
  end: (trailers?: Headers) => void
  fail: (reason: SidecarError) => void
}

/** The hand on flowing bytes. */
export interface Tap {
  pause: () => void
  resume: () => void
  /** Ends the flow from the reader's side: whoever sends is told at once, and the sink hears `fail` with this reason. */
  close: (reason: SidecarError) => void
}

/** A request body that is not kept: it flows once, from the client to one attempt. */
export interface Upload {
  /** As the client declared it; undefined when it came chunked. */
  readonly length: number | undefined
  /** False once a byte has been handed on: then it cannot be sent again. */
  readonly untouched: () => boolean
  readonly flow: (sink: Sink) => Tap
}

/** What the client said about its request, taken out of its header once. */
export interface Wishes {
  readonly contentType: string
  /** The key the client showed, whatever header it used. */
  readonly key: string | undefined
  /** From the client's own timeout headers; zero where it set none. */
  readonly timeoutMs: number
  readonly readTimeoutMs: number
  /** How often the client has repeated this call by itself. */
  readonly retries: number
  /** The upstream and the model that it asks for by header; empty where it does not. */
  readonly upstream: string
  readonly model: string
}

/** A client's request on its way through the layers. Never mutated, `facts` apart: a layer that changes it passes a copy on. */
export interface Call {
  readonly id: string
  readonly method: string
  /** What follows /v1, query included, byte for byte; undefined for a target that is not under it. */
  readonly path: string | undefined
  /** The whole target as the client wrote it. */
  readonly target: string
  /** Names and values in turn, as the client sent them, without what is hop-by-hop, a credential, or meant for us. */
  readonly headers: readonly string[]
  readonly body: Buffer | Upload | undefined
  readonly wishes: Wishes
  readonly life: Life
  readonly facts: Facts
  /** A kept connection has just proved stale: only a new one will do. */
  readonly fresh: boolean
  /** No other upstream could take it over: this one gets the time it needs. */
  readonly last: boolean
  /** Where it goes; undefined for what never leaves. */
  readonly plan: Plan | undefined
  /** Passes an interim answer (1xx) on. */
  readonly inform: (status: number, headers: Headers) => void
}

/**
 * The answer: a head, and a body that flows into one sink. Pushed, not pulled: a Readable per call would cost more
 * than all layers together. Whoever receives a Reply lets it flow or drops it.
 */
export interface Reply {
  readonly status: number
  readonly headers: Headers
  /** Headers of ours beyond those of every answer, names and values in turn: what the upstream calls `x-outrider-…` is dropped. */
  readonly own?: readonly string[]
  /** False when only the end of the connection ends the body: then its content alone says whether it is whole. */
  readonly framed: boolean
  /** True once the whole body is in: then nothing can go wrong with it any more. */
  readonly complete: () => boolean
  /** Bytes of the body that are here and that nobody has taken yet; only of an answer as it comes from its upstream. */
  readonly waiting?: () => readonly Buffer[]
  /** Of a stream of numbered events: the number of the last one, or -1. */
  readonly lastNumber?: () => number
  /** Of a stream: its first events with a payload, and its last. */
  readonly told?: () => { readonly first: Buffer | undefined; readonly last: string }
  readonly flow: (sink: Sink) => Tap
  readonly drop: () => void
}

export type Handler = (call: Call) => Promise<Reply>
export type Layer = (next: Handler) => Handler

/** Wraps `innermost` so that the first layer written is the first to see a call and the last to see its reply. */
export function stack(layers: readonly Layer[], innermost: Handler): Handler {
  return layers.reduceRight((next, layer) => layer(next), innermost)
}

/** An answer of our own that has no body. */
export function emptyReply(status: number, headers: Headers): Reply {
  return {
    status,
    headers,
    framed: true,
    complete: () => true,
    flow: (sink) => {
      sink.end()
      return { pause: () => {}, resume: () => {}, close: () => {} }
    },
    drop: () => {},
  }
}

/** A whole answer of our own. */
export function localReply(status: number, headers: Headers, body: Buffer): Reply {
  return {
    status,
    headers: { ...headers, 'content-length': String(body.length) },
    framed: true,
    complete: () => true,
    flow: (sink) => {
      sink.data(body)
      sink.end()
      return { pause: () => {}, resume: () => {}, close: () => {} }
    },
    drop: () => {},
  }
}

export const isUpload = (body: Call['body']): body is Upload => body !== undefined && 'flow' in body
