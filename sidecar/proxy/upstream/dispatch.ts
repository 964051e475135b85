import type { IncomingHttpHeaders } from 'node:http'
import type { Dispatcher } from 'undici'
import { type Call, type Handler, type Headers, type Reply, type Sink, type Tap } from '../call.ts'
import type { Alarm, Clock } from '../clock.ts'
import { SidecarError } from '../errors.ts'
import { offCancel, onCancel } from '../life.ts'
import type { Connection, Pool } from './pool.ts'
import { sent } from './sent.ts'
import { failureOf } from './failure.ts'

export interface DispatchOptions {
  readonly name: string
  /** The path and query of the upstream's base URL, put around the call's own. */
  readonly base: { readonly path: string; readonly query: string }
  readonly pool: Pool
  readonly clock: Clock
  readonly writeMs: number
}

/** The innermost handler: one attempt at one upstream. */
export function dispatch(options: DispatchOptions): Handler {
  const { name, pool } = options
  return (call) =>
    new Promise<Reply>((give, refuse) => {
      if (options.base.path === '' && looksLikeHost(call.path)) {
        return refuse(new SidecarError('bad_request', 'the path begins with two slashes, which would read as the name of another server'))
      }
      call.facts.upstream = name
      if (!call.fresh) call.facts.attempts++
      call.facts.sentMs = 0
      pool.take(
        call.life,
        call.fresh,
        (connection) => {
          attempt(options, call, connection, give, refuse)
        },
        refuse,
      )
    })
}

/** More interim answers than any server has reason to send. */
const mostInterim = 20

/** What is let into memory before anyone has asked for the body; more of it waits in the socket. */
const earlyBytes = 64 * 1024

/** Turns undici's callbacks into one Reply. */
function attempt(
  { base, pool, clock, writeMs }: DispatchOptions,
  call: Call,
  connection: Connection,
  give: (reply: Reply) => void,
  refuse: (err: SidecarError) => void,
): void {
  const { life, facts } = call
  let controller: Dispatcher.DispatchController | null = null
  let sink: Sink | undefined
  let early: Buffer[] | undefined
  let held = 0
  let interim = 0
  let started = false
  let beganMs = 0
  let headed = false
  let ended: { trailers: Headers } | undefined
  let failure: SidecarError | undefined
  let writing: Alarm | undefined
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
    clock.clear(writing)
    writing = undefined
    pool.giveBack(connection)
  }

  const tap: Tap = {
    pause: () => {
      controller?.pause()
    },
    resume: () => {
      controller?.resume()
    },
    close: stop,
  }

  const flow = (to: Sink): Tap => {
    sink = to
    let go = true
    if (early !== undefined) for (const bytes of early) go = to.data(bytes) && go
    early = undefined
    if (ended !== undefined) to.end(ended.trailers)
    else if (over) to.fail(failure ?? new SidecarError('reply_cut', 'the answer broke off'))
    else if (!go) controller?.pause()
    else controller?.resume()
    return tap
  }

  const handler: Dispatcher.DispatchHandler = {
    onRequestStart: (c) => {
      // Throwing here gives the socket back unharmed, aborting would cost it.
      if (failure !== undefined) throw failure
      controller = c
      beganMs = clock.now()
      facts.connectedMs = beganMs
    },
    onRequestSent: () => {
      facts.sentMs = clock.now()
    },
    onResponseStarted: () => {
      started = true
    },
    onResponseStart: (c, status, parsed) => {
      const headers = parsed as Headers
      if (status < 200) {
        if (++interim > mostInterim) c.abort(new SidecarError('bad_reply', `more than ${mostInterim} interim answers`))
        else if (status !== 101) call.inform(status, headers)
        return
      }
      headed = true
      clock.clear(writing)
      writing = undefined
      facts.headMs = clock.now()
      if (facts.sentMs === 0) facts.sentMs = facts.headMs
      const bare = call.method === 'HEAD' || status === 204 || status === 304
      const framed =
        bare || connection.capacity > 1 || headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined
      give({
        status,
        headers,
        framed,
        complete: () => ended !== undefined,
        flow,
        drop: () => {
          flow(nowhere)
        },
      })
    },
    onResponseData: (c, bytes) => {
      if (sink !== undefined) {
        if (!sink.data(bytes)) c.pause()
        return
      }
      early ??= []
      early.push(bytes)
      held += bytes.length
      if (held > earlyBytes) c.pause()
    },
    onResponseEnd: (_c, trailers) => {
      if (over) return
      ended = { trailers: trailers as IncomingHttpHeaders as Headers }
      leave()
      sink?.end(ended.trailers)
    },
    onResponseError: (_c, err) => {
      if (over) return
      const reused = connection.uses > 1 && !started && !connection.continued()
      const first = connection.uses > 1 ? undefined : 'encrypted' in connection.socket ? 'secure' : 'plain'
      failure ??= failureOf(connection.fault() ?? err, { headed, started, reused, sinceBeganMs: beganMs === 0 ? 0 : clock.now() - beganMs, first })
      leave()
      if (headed) sink?.fail(failure)
      else refuse(failure)
    },
  }

  onCancel(life, stop)
  if (life.cancelled !== undefined) return pool.giveBack(connection)
  connection.uses++
  connection.expectHead()
  const outgoing = sent(call.body)
  const headers = outgoing.length === undefined ? call.headers : [...call.headers, 'content-length', String(outgoing.length)]
  connection.client.dispatch(
    { method: call.method as 'POST', path: pathOf(base, call.path ?? ''), headers: headers as string[], body: outgoing.body },
    handler,
  )
  watchWriting()

  /** Nothing to watch when the request went out in one go, as nearly all do. */
  function watchWriting(): void {
    const { socket } = connection
    // A socket of HTTP/2 moves for others too.
    const shared = connection.capacity > 1
    const unsent = (): number => (shared ? 0 : socket.writableLength)
    const moved = (): number => (shared ? outgoing.progress() : socket.bytesWritten - socket.writableLength)
    const isOut = (): boolean => over || headed || (facts.sentMs !== 0 && unsent() === 0)
    if (isOut()) return
    let before = moved()
    const ring = (): void => {
      if (isOut()) return
      const now = moved()
      const waitsForClient = facts.sentMs === 0 && unsent() === 0 && outgoing.waiting()
      if (now === before && !waitsForClient)
        return stop(new SidecarError('write_timeout', `the request did not move for ${writeMs / 1_000} s`))
      before = now
      writing = clock.set(writeMs, ring)
    }
    writing = clock.set(writeMs, ring)
  }
}

const nowhere: Sink = { data: () => true, end: () => {}, fail: () => {} }

/** A base URL may have a query of its own (`?api-version=…`): it comes first. */
function pathOf(base: DispatchOptions['base'], path: string): string {
  const query = path.indexOf('?')
  const before = query < 0 ? path : path.slice(0, query)
  // Only a base URL without a path can be followed by nothing at all.
  const whole = base.path + before || '/'
  if (base.query === '') return query < 0 ? whole : whole + path.slice(query)
  return query < 0 ? `${whole}?${base.query}` : `${whole}?${base.query}&${path.slice(query + 1)}`
}

/** Behind a base URL with a path two slashes are only an empty segment. */
const looksLikeHost = (path: string | undefined): boolean => path !== undefined && /^(?:[/\\]|%2f|%5c){2}/i.test(path)
