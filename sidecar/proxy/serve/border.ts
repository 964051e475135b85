import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Call, Handler, Headers, Reply, Sink } from '../call.ts'
import type { Clock } from '../clock.ts'
import { asSidecarError, SidecarError } from '../errors.ts'
import { newFacts, noteFailure } from '../facts.ts'
import type { Held } from '../layers/read.ts'
import { cancel, finish, newLife, type Life } from '../life.ts'
import { endAfter, isEnding } from './ending.ts'
import type { LeanRequest, Taker } from './leanRequest.ts'
import { pour } from './pour.ts'
import { requestHead } from './requestHead.ts'
import { upload, type UploadOptions } from './upload.ts'

/** What the config says about calls. */
export interface Way {
  readonly handle: Handler
  readonly clientBodyMs: number
  /** The most header lines of a call. */
  readonly headerLines: number
}

export interface BorderOptions {
  /** The way of calls that begin now; those under way end on the one they began with. */
  readonly live: { readonly current: Way }
  readonly clock: Clock
  readonly newId: () => string
  readonly held: Held
  /** Why a connection's bytes stopped being HTTP, when they did. */
  readonly broken: (req: IncomingMessage) => SidecarError | undefined
  /** True while shutting down: clients are told to use another connection. */
  readonly closing: () => boolean
  /** Hears of defects of our own that no answer can tell any more. */
  readonly defect: (call: Call, err: SidecarError) => void
}

/** Where a request with a body carries its life, for whoever finds its bytes broken: a property is cheaper than a map for every call. */
const lifeKey = Symbol('life')
type Carrier = IncomingMessage & { [lifeKey]?: Life }

/** For a request without a body, whose end means nothing to anyone. */
const nobody: Taker = { data: () => {}, end: () => {}, lost: () => {} }

/** Cancels the call whose body stopped making sense; false when no call is left that could answer for it. */
export function breakCall(req: IncomingMessage, reason: SidecarError): boolean {
  const life = (req as Carrier)[lifeKey]
  if (life === undefined || life.over) return false
  cancel(life, reason)
  return true
}

/** The border to node:http: requests become Calls, Replies become responses. Nothing below knows IncomingMessage. */
export function border(options: BorderOptions): (req: LeanRequest, res: ServerResponse) => void {
  const { live, clock, newId, broken, closing, held, defect } = options

  return (req, res) => {
    const { socket } = req
    const { handle, clientBodyMs, headerLines } = live.current
    // Behind an answer that ends the connection no other can follow: it would be executed and nobody would hear of it.
    if (isEnding(socket)) return
    const head = requestHead(req, headerLines)
    const life = newLife()
    const facts = newFacts(clock.now(), head.trace)
    const hasBody = head.length !== 0
    const client = { req, res, clock }
    const upOptions: UploadOptions = { clock, silenceMs: clientBodyMs, asksFirst: head.asksFirst, held, life, broken }
    const call: Call = {
      id: newId(),
      method: req.method ?? 'GET',
      path: head.path,
      target: req.url ?? '',
      headers: head.headers,
      body: hasBody ? upload({ req, res, length: head.length, facts }, upOptions) : undefined,
      wishes: head.wishes,
      life,
      facts,
      fresh: false,
      last: false,
      plan: undefined,
      inform: (status, headers) => {
        inform(req, res, status, headers)
      },
    }
    if (hasBody) (req as Carrier)[lifeKey] = life
    else {
      req.handTo(nobody)
      // Node closes behind an answer to whoever was not told to go on, and there is nothing to go on with.
      if (head.asksFirst) Object.assign(res, { _expect_continue: false })
    }
    const gone = (): void => {
      if (life.over) return
      if (res.writableFinished) {
        finish(life, undefined)
        // What is left of the request stands in front of the client's next one, or of its leaving.
        if (!req.complete) req.resume()
        return
      }
      const reason = life.cancelled ?? broken(req) ?? clientGone(req)
      if (facts.error === undefined) noteFailure(facts, reason)
      if (reason.kind === 'internal') defect(call, reason)
      cancel(life, reason)
      finish(life, reason)
    }
    const fail = (err: unknown): void => {
      cancel(life, asSidecarError(err))
      res.destroy()
    }
    // Not `once`, which makes two more objects: by a second time the life would be over.
    res.on('close', gone)
    // After a shape that can be read two ways, nobody knows where the next request begins.
    if (head.problem !== undefined || closing()) endAfter(res, socket)
    const answered = head.problem === undefined ? handle(call) : refuseShape(handle, call, head.problem)
    answered.then(
      (reply) => {
        // The rest of a body is not waited for: a client that asked before sending may never send it.
        if (hasBody && !req.complete) endAfter(res, socket)
        try {
          pour(call, reply, client)
        } catch (err) {
          reply.drop()
          fail(err)
        }
      },
      // The pipeline answers every failure itself; should it fail at that, the client must not wait for ever.
      fail,
    )
  }
}

const clientGone = ({ complete }: IncomingMessage): SidecarError =>
  new SidecarError('client_gone', `the client closed its connection before its ${complete ? 'answer' : 'request'} was whole`)

/** Goes through the pipeline like any call, so that it is measured and answered like any call; its body is never looked at. */
function refuseShape(handle: Handler, call: Call, problem: SidecarError): Promise<Reply> {
  const refusing: Call['body'] = {
    length: undefined,
    untouched: () => true,
    flow: (sink: Sink) => {
      sink.fail(problem)
      return { pause: () => {}, resume: () => {}, close: () => {} }
    },
  }
  return handle({ ...call, path: call.path ?? '', body: refusing, wishes: { ...call.wishes, contentType: 'application/json' } })
}

function inform(req: IncomingMessage, res: ServerResponse, status: number, headers: Headers): void {
  // HTTP/1.0 does not know interim answers, 100 was ours to send, and 101 is no interim answer.
  if (req.httpVersionMinor === 0 || status < 102 || res.headersSent || res.destroyed) return
  // Node would keep it for later, behind the head of its own answer.
  if (res.socket === null) return
  const kept: Record<string, string | string[]> = {}
  for (const [name, value] of Object.entries(headers)) if (value !== undefined && !isForThisHop(name)) kept[name] = value
  res.writeInformation(status, kept)
}

const isForThisHop = (name: string): boolean =>
  name === 'connection' ||
  name === 'keep-alive' ||
  name === 'transfer-encoding' ||
  name === 'content-length' ||
  name.startsWith('x-outrider-')
