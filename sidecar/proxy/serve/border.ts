import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Call, Facts, Handler, Headers, Reply, Sink } from '../call.ts'
import type { Clock } from '../clock.ts'
import { SidecarError } from '../errors.ts'
import { cancel, finish, newLife } from '../life.ts'
import { pour } from './pour.ts'
import { requestHead } from './requestHead.ts'
import { upload, type UploadOptions } from './upload.ts'

export interface BorderOptions {
  readonly handle: Handler
  readonly clock: Clock
  readonly clientBodyMs: number
  /** Why a connection's bytes stopped being HTTP, when they did. */
  readonly broken: (req: IncomingMessage) => SidecarError | undefined
  /** True while shutting down: clients are told to use another connection. */
  readonly closing: () => boolean
}

/** The border to node:http: requests become Calls, Replies become responses. Nothing below knows IncomingMessage. */
export function border(options: BorderOptions): (req: IncomingMessage, res: ServerResponse) => void {
  const { handle, clock, broken, closing, clientBodyMs } = options
  // Ids need only be told apart: a start of the process, and a count.
  const start = (Date.now() % 36 ** 6).toString(36).padStart(6, '0')
  let count = 0

  return (req, res) => {
    const head = requestHead(req)
    const life = newLife()
    const facts = newFacts(clock.now())
    const upOptions: UploadOptions = { clock, silenceMs: clientBodyMs, broken: () => broken(req) }
    const call: Call = {
      id: `${start}-${(++count).toString(36)}`,
      method: req.method ?? 'GET',
      path: head.path,
      headers: head.headers,
      body: head.length === 0 ? undefined : upload(req, res, head.length, facts, upOptions),
      wishes: head.wishes,
      life,
      facts,
      fresh: false,
      inform: (status, headers) => {
        inform(req, res, status, headers)
      },
    }
    const gone = (): void => {
      if (life.over) return
      if (res.writableFinished) return finish(life, undefined)
      const reason = broken(req) ?? new SidecarError('client_gone', 'the client closed its connection')
      facts.error ??= reason.kind
      cancel(life, reason)
      finish(life, reason)
    }
    res.once('close', gone)
    // Behind another answer on the same connection a response has no socket yet, and would not hear it close.
    if (res.socket === null) req.socket.once('close', gone)
    // After a shape that can be read two ways, nobody knows where the next request begins.
    if (closing() || head.problem !== undefined) res.shouldKeepAlive = false
    const answered = head.problem === undefined ? handle(call) : refuseShape(handle, call, head.problem)
    answered.then(
      (reply) => {
        pour(call, reply, req, res, clock)
      },
      // The pipeline answers every failure itself; should it fail at that, the client must not wait for ever.
      () => {
        res.destroy()
      },
    )
  }
}

/** Goes through the pipeline like any call, so that it is measured and answered like any call; its body is never looked at. */
function refuseShape(handle: Handler, call: Call, problem: string): Promise<Reply> {
  const refusing: Call['body'] = {
    length: undefined,
    untouched: () => true,
    flow: (sink: Sink) => {
      sink.fail(new SidecarError('bad_request', `the request has ${problem}`))
      return { pause: () => {}, resume: () => {}, close: () => {} }
    },
  }
  return handle({ ...call, body: refusing, wishes: { ...call.wishes, contentType: 'application/json' } })
}

function newFacts(now: number): Facts {
  return {
    beganMs: now,
    operation: 'other',
    client: '',
    model: '',
    stream: false,
    upstream: '',
    attempts: 0,
    status: 0,
    error: undefined,
    bytesIn: 0,
    bytesOut: 0,
    connectedMs: 0,
    sentMs: 0,
    headMs: 0,
    firstByteMs: 0,
  }
}

function inform(req: IncomingMessage, res: ServerResponse, status: number, headers: Headers): void {
  // HTTP/1.0 does not know interim answers, and 100 was ours to send.
  if (req.httpVersionMinor === 0 || status === 100 || res.headersSent || res.destroyed) return
  const kept: Record<string, string | string[]> = {}
  for (const [name, value] of Object.entries(headers)) if (value !== undefined) kept[name] = value
  res.writeInformation(status, kept)
}
