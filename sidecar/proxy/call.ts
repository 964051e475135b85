import type { Side } from './canary/side.ts'
import type { KindName, SidecarError } from './errors.ts'
import type { Headers } from './headers.ts'
import type { Life } from './life.ts'
import type { AnswerEnds } from './llm/answerEnds.ts'
import type { Operation } from './llm/operation.ts'
import type { Plan } from './plan.ts'
import type { Usage } from './llm/usage.ts'
import type { Trace } from './trace.ts'
import type { Unasked, Unrepeated } from './unrepeated.ts'

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

/** One try at an upstream: how it came out, and how long that took. */
export interface Tried {
  readonly upstream: string
  /** The name of the key; empty where the upstream has no two. */
  readonly account: string
  /** What the upstream was asked for; empty where that is not known. */
  readonly model: string
  readonly outcome: number | KindName
  readonly ms: number
}

/** The account that was seen making what the call refers to, one that all who refer to that go to, or something in common with other calls. */
export type ChosenBy = 'pin' | 'id' | 'affinity'

/** What is known of a call so far; each layer writes what it learns, `measure` reports it when the call is over. */
export interface Facts {
  readonly beganMs: number
  operation: Operation
  client: string
  model: string
  /** What the upstream was asked for; empty where that is not known. */
  served: string
  stream: boolean
  /** Where the route has a canary. */
  side: Side | undefined
  upstream: string
  /** The name of the key of the attempt that is under way, where its upstream has several; else empty. */
  account: string
  /** Why the call went where it went, where that was not left to the strategy. */
  chosenBy: ChosenBy | undefined
  attempts: number
  /** Time between attempts, in which an upstream was left alone. */
  waitedMs: number
  /** How often another attempt has gone on with a stream that broke off. */
  resumed: number
  status: number
  /** The failure that the client was told of, in whatever form. */
  error: KindName | undefined
  /** What is known of it beyond its kind, for who looks into the log; empty where words of the client would be in it. */
  reason: string
  /** The time that ran out was the client's own: that says nothing of the upstream. */
  hurried: boolean
  /** Why a call that failed was not tried again, and why the model that it names was not tried at all. */
  unrepeated: Unrepeated | undefined
  unasked: Unasked | undefined
  bytesIn: number
  bytesOut: number
  /** Pieces in which the body of the answer went to the client. */
  chunksOut: number
  trace: Trace
  /** The attempts that are behind us; undefined while there was only one and it has an answer, as nearly always. */
  tried: Tried[] | undefined
  /** The status that the last attempt brought from the upstream; 0 while it has none. */
  answered: number
  /** On the clock, or 0 while it has not come: waiting for a connection, connection in hand, head of the answer, first byte to the client. */
  queuedMs: number
  connectedMs: number
  /** Zero while the request is not wholly sent. */
  sentMs: number
  headMs: number
  firstByteMs: number
  /** The first payload event of a stream was in our hands. */
  eventMs: number
  /** The answer was whole in our hands. */
  endedMs: number
  /** The client had its last byte, or was gone. */
  overMs: number
  /** The client took the answer more slowly than it came. */
  slowClient: boolean
  /** Time in which nobody had to be waited for but ourselves. */
  ownMs: number
  /** Since when that is so; 0 while it is not. */
  oursMs: number
  /** Of the answer that the client gets. */
  ends: AnswerEnds | undefined
  /** Read out of the ends when the call is over. */
  usage: Usage | undefined
  /** Beginnings of the bodies, where the log is to have them. */
  bodies: Bodies | undefined
}

export interface Bodies {
  /** How much of each may be shown; a little more is kept, so that no key is cut before it is known as one. */
  readonly most: number
  request: Buffer | undefined
  readonly reply: Buffer[]
  /** How the reply is compressed; empty for one that is not. */
  coding: string
}

/** No key is longer. */
export const bodyMargin = 1_024

/** The facts of a call that has just come. */
export function newFacts(now: number, trace: Trace): Facts {
  return {
    beganMs: now,
    operation: 'other',
    client: '',
    model: '',
    served: '',
    stream: false,
    side: undefined,
    upstream: '',
    account: '',
    chosenBy: undefined,
    attempts: 0,
    waitedMs: 0,
    resumed: 0,
    status: 0,
    error: undefined,
    reason: '',
    hurried: false,
    unrepeated: undefined,
    unasked: undefined,
    bytesIn: 0,
    bytesOut: 0,
    chunksOut: 0,
    trace,
    tried: undefined,
    answered: 0,
    queuedMs: 0,
    connectedMs: 0,
    sentMs: 0,
    headMs: 0,
    firstByteMs: 0,
    eventMs: 0,
    endedMs: 0,
    overMs: 0,
    slowClient: false,
    ownMs: 0,
    oursMs: now,
    ends: undefined,
    usage: undefined,
    bodies: undefined,
  }
}

/** An attempt is behind us; what it came to is only written down when another follows, or when it failed. */
export function closeAttempt(facts: Facts, failure?: KindName): void {
  const { upstream, account, served, answered, headMs, queuedMs } = facts
  if (failure === undefined && answered === 0) return
  facts.tried ??= []
  const ms = (failure === undefined ? headMs : facts.oursMs) - queuedMs
  facts.tried.push({ upstream, account, model: served, outcome: failure ?? answered, ms })
  facts.answered = 0
}

/** The client is told of it. */
export function noteFailure(facts: Facts, { kind, message, quotes }: SidecarError): void {
  facts.error = kind
  facts.reason = quotes ? '' : message
}

/** From now on somebody else is waited for: the client, a connection, the upstream. */
export function handOver(facts: Facts, now: number): void {
  if (facts.oursMs !== 0) facts.ownMs += now - facts.oursMs
  facts.oursMs = 0
}

/** A client's request on its way through the layers. Never mutated, `facts` apart: a layer that changes it passes a copy on. */
export interface Call {
  readonly id: string
  readonly method: string
  /** What follows /v1, query included, byte for byte; undefined for a target that is not ours to serve. */
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
