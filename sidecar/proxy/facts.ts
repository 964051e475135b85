import type { Side } from './canary/side.ts'
import type { KindName, SidecarError } from './errors.ts'
import type { AnswerEnds } from './llm/answerEnds.ts'
import type { Operation } from './llm/operation.ts'
import type { Usage } from './llm/usage.ts'
import type { Trace } from './trace.ts'
import type { Unasked, Unrepeated } from './unrepeated.ts'

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
