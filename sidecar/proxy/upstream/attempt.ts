import type { IncomingHttpHeaders } from 'node:http'
import { Readable } from 'node:stream'
import type { Dispatcher } from 'undici'
import { isUpload, type Call, type Headers, type Reply, type Sink } from '../call.ts'
import type { Clock } from '../clock.ts'
import { SidecarError } from '../errors.ts'
import { handOver } from '../facts.ts'
import { offCancel, onCancel, onOver } from '../life.ts'
import type { Connection } from './connection.ts'
import { failureOf } from './failure.ts'
import { incoming } from './incoming.ts'
import { sent } from './sent.ts'
import { watchWriting } from './writing.ts'

export interface Attempt {
  readonly call: Call
  /** As the upstream is asked for it. */
  readonly path: string
  readonly connection: Connection
  readonly clock: Clock
  readonly writeMs: number
  readonly give: (reply: Reply) => void
  readonly refuse: (err: SidecarError) => void
  /** The connection is needed no more. */
  readonly giveBack: (connection: Connection) => void
}

/** More interim answers than any server has reason to send. */
const mostInterim = 20

/** Turns undici's callbacks into one Reply. */
export function attempt({ call, path, connection, clock, writeMs, give, refuse, giveBack }: Attempt): void {
  const { life, facts } = call
  let controller: Dispatcher.DispatchController | null = null
  let interim = 0
  let started = false
  let beganMs = 0
  let headed = false
  let failure: SidecarError | undefined
  let stopWatch: (() => void) | undefined
  let over = false

  const stop = (reason: SidecarError): void => {
    if (over) return
    failure = reason
    if (controller !== null) return controller.abort(reason)
    // Not written yet: the call is let go at once, and `onRequestStart` gives the socket back unharmed.
    offCancel(life, stop)
    refuse(reason)
  }

  const leave = (): void => {
    over = true
    offCancel(life, stop)
    stopWatch?.()
    giveBack(connection)
  }

  const outgoing = sent(call.body)
  const pause = (): void => {
    controller?.pause()
  }
  const resume = (): void => {
    controller?.resume()
  }
  const body = incoming({ pause, resume, close: stop })

  const drop = (): void => {
    body.flow(nowhere)
    // Read to its end so that the connection can be kept, but no longer than its call lasts: it may have no end.
    const giveUp = (): void => stop(new SidecarError('client_gone', 'nobody waits for this answer'))
    if (life.over) giveUp()
    else onOver(life, giveUp)
  }

  const handler: Dispatcher.DispatchHandler = {
    onRequestStart: (c) => {
      // Throwing here gives the socket back unharmed, aborting would cost it.
      if (failure !== undefined) throw failure
      controller = c
      beganMs = clock.now()
      facts.connectedMs = beganMs
      // Of an upload, and of much at once, the sending is others' time.
      if (!isUpload(call.body) && outgoing.length === undefined) facts.oursMs = beganMs
    },
    onRequestSent: () => {
      facts.sentMs = clock.now()
      handOver(facts, facts.sentMs)
      // Of a connection that was opened just now it is known that somebody is there, and what the kernel took at once needs no watch.
      if (connection.uses > 1 || connection.socket.writableLength > 0) stopWatch ??= watch()
    },
    onResponseStarted: () => {
      started = true
    },
    onResponseStart: (c, status, parsed) => {
      const headers = connection.headTaken() ?? (parsed as Headers)
      if (status < 200) {
        const problem = problemOf(status, ++interim)
        if (problem !== undefined) c.abort(problem)
        else if (status !== 101) call.inform(status, headers)
        return
      }
      headed = true
      stopWatch?.()
      facts.headMs = clock.now()
      facts.oursMs = facts.headMs
      facts.answered = status
      if (facts.sentMs === 0) facts.sentMs = facts.headMs
      const framed = connection.capacity > 1 || isFramed(call, status, headers)
      give({ status, headers, framed, complete: body.complete, waiting: body.waiting, flow: body.flow, drop })
    },
    onResponseData: (c, bytes) => {
      if (!body.data(bytes)) c.pause()
    },
    onResponseEnd: (_c, trailers) => {
      if (over) return
      facts.endedMs = clock.now()
      leave()
      body.end(trailers as IncomingHttpHeaders as Headers)
    },
    onResponseError: (_c, err) => {
      if (over) return
      const reused = connection.uses > 1 && !started && !connection.heard()
      const first = connection.uses > 1 ? undefined : 'encrypted' in connection.socket ? 'secure' : 'plain'
      const sinceBeganMs = beganMs === 0 ? 0 : clock.now() - beganMs
      failure ??= failureOf(connection.fault() ?? err, { headed, started, reused, sinceBeganMs, first })
      leave()
      if (headed) body.fail(failure)
      else refuse(failure)
    },
  }

  const watch = () => watchWriting({ clock, writeMs, connection, outgoing, handed: () => facts.sentMs !== 0, stop })

  onCancel(life, stop)
  if (life.cancelled !== undefined) return giveBack(connection)
  connection.uses++
  connection.expectHead()
  const headers = outgoing.length === undefined ? call.headers : [...call.headers, 'content-length', String(outgoing.length)]
  connection.client.dispatch({ method: call.method as 'POST', path, headers: headers as string[], body: outgoing.body }, handler)
  // Others are written in one go, though perhaps only in the next turn; over HTTP/2 they may have to wait for their turn.
  if (!over && !headed && (outgoing.body instanceof Readable || connection.capacity > 1)) stopWatch = watch()
}

/** What makes an interim answer one that cannot be passed on; `count` includes it. */
function problemOf(status: number, count: number): SidecarError | undefined {
  if (status < 100) return new SidecarError('bad_reply', `the answer has the status ${status}, which is none of HTTP`)
  return count > mostInterim
    ? new SidecarError('bad_reply', `more than ${mostInterim} interim answers (1xx) came before the answer`)
    : undefined
}

const nowhere: Sink = { data: () => true, end: () => {}, fail: () => {} }

/** Over HTTP/1, only these say where the body ends. */
const isFramed = ({ method }: Call, status: number, headers: Headers): boolean =>
  method === 'HEAD' ||
  status === 204 ||
  status === 304 ||
  headers['content-length'] !== undefined ||
  headers['transfer-encoding'] !== undefined
