import { Agent, type ClientRequest, type IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { stack, type Call, type Handler, type Layer, type Reply } from '../call.ts'
import type { Alarm, Clock } from '../clock.ts'
import { asSidecarError, SidecarError } from '../errors.ts'
import { noteFailure } from '../facts.ts'
import { admit, type Admission } from '../layers/admit.ts'
import { answer } from '../layers/answer.ts'
import { body } from '../layers/body.ts'
import { credential, type Key, type Scheme } from '../layers/credential.ts'
import { deadline } from '../layers/deadline.ts'
import { identify, type Client } from '../layers/identify.ts'
import { locate } from '../layers/locate.ts'
import { measure } from '../layers/measure.ts'
import { cancel, finish, offCancel, onCancel } from '../life.ts'
import type { Connector } from '../upstream/connector.ts'
import { answerOn, callFrom, earlyBytes, readEarly, type Early } from './tunnelClient.ts'
import { grouped, switched } from './tunnelHeaders.ts'
import { pair, type Pair } from './tunnelPair.ts'
import { failureOf, replyFrom } from './tunnelReply.ts'
import { pathAt } from '../upstream/pathAt.ts'

export interface TunnelOptions {
  readonly clock: Clock
  /** Never offers HTTP/2; it decides on TLS, address and proxy. */
  readonly connector: Connector
  readonly upstream: {
    readonly name: string
    /** The Host header. */
    readonly authority: string
    /** The path and query of the base URL, put around the call's own. */
    readonly base: { readonly path: string; readonly query: string }
  }
  readonly scheme: Scheme
  readonly key: Key | undefined
  readonly clients: () => readonly Client[] | undefined
  readonly admission: Admission
  readonly limit: number
  /** The most header lines of a request. */
  readonly headerLines: number
  readonly report: (call: Call) => void
  readonly defect: (call: Call, err: SidecarError) => void
  /** For the upstream's answer to the upgrade, once it is connected. */
  readonly firstMs: number
  readonly idleMs: number
  readonly totalMs: number
  readonly newId: () => string
}

export interface Tunnel {
  readonly upgrade: (req: IncomingMessage, socket: Duplex, head: Buffer) => void
  /** Ends every WebSocket with a close frame, and refuses those that are not open yet. Takes up to a second: see `settled`. */
  readonly closeAll: (code: number, reason: string) => void
  /** WebSockets open now. */
  readonly open: () => number
  /** Resolves when no socket of ours is left. */
  readonly settled: () => Promise<void>
}

/** One client's socket, from its request to its end. */
interface Session {
  readonly req: IncomingMessage
  readonly call: Call
  early: Early | undefined
  pair: Pair | undefined
  /** Called when both sockets of an upgraded session are gone. */
  over: (failure: SidecarError | undefined) => void
}

/**
 * Carries WebSockets to the upstream through http-proxy, under the same rules as calls: checked, counted, bounded, with our key in place of
 * the client's, and with an answer that says who failed. No socket outlives the other.
 * `current` is asked at each upgrade: a session ends on what it began with.
 */
export function tunnel(current: (url: string) => TunnelOptions): Tunnel {
  const sessions = new Set<Session>()
  const waiting: (() => void)[] = []
  let open = 0

  const drop = (session: Session): void => {
    if (!sessions.delete(session)) return
    if (session.pair !== undefined) open--
    if (sessions.size === 0) for (const tell of waiting.splice(0)) tell()
  }

  const upgrade: Tunnel['upgrade'] = (req, _socket, head) => {
    // The request's own: around an unfinished body node:http hands over a stand-in.
    const { socket } = req
    const options = current(req.url ?? '')
    const { clock } = options
    const { call, problem } = callFrom(req, { now: clock.now(), mostLines: options.headerLines, id: options.newId() })
    const { life, facts } = call
    const session: Session = { req, call, early: undefined, pair: undefined, over: () => {} }
    sessions.add(session)
    session.over = (failure) => {
      if (facts.error === undefined && failure !== undefined) noteFailure(facts, failure)
      drop(session)
      finish(life, failure)
    }
    socket.on('error', () => {})
    socket.once('close', () => {
      if (session.pair !== undefined) return
      drop(session)
      if (life.over) return
      const reason = new SidecarError('client_gone', 'the client closed its connection')
      if (facts.error === undefined) noteFailure(facts, reason)
      cancel(life, reason)
      finish(life, reason)
    })
    if (problem === undefined) {
      session.early = readEarly(socket, head, () => {
        cancel(
          life,
          new SidecarError('bad_request', `the client sent more than ${earlyBytes} bytes of frames before the upgrade was answered`),
        )
      })
      socket.once('end', () => {
        // Half closed counts as gone, as for any call.
        if (session.pair === undefined) socket.destroy()
      })
    }
    const carried: Handler = (one) => carry(options, session, one, () => open++)
    wayOf(
      options,
      problem,
      carried,
    )(call).then(
      (reply) => {
        if (session.pair === undefined) answerOn(req, call, reply, clock)
      },
      () => socket.destroy(),
    )
  }

  return {
    upgrade,
    closeAll: (code, reason) => {
      const err = new SidecarError('draining', 'this pod is shutting down: only another pod can answer now')
      for (const { call, pair: sockets, req } of sessions) {
        if (sockets !== undefined) sockets.close(code, reason, err)
        else if (call.life.over) req.socket.destroy()
        else cancel(call.life, err)
      }
    },
    open: () => open,
    settled: () => (sessions.size === 0 ? Promise.resolve() : new Promise((done) => waiting.push(done))),
  }
}

/** What does not speak of bodies, retries or streams of the way of a call, in its order; pipeline.ts says why each stands where it stands. */
function wayOf(options: TunnelOptions, problem: SidecarError | undefined, carried: Handler): Handler {
  const { clock, admission, limit, clients, report, defect, scheme, key, idleMs, totalMs } = options
  const above: readonly Layer[] = [measure(report, clock.now), answer({ now: clock.now, defect })]
  if (problem !== undefined) return stack(above, () => Promise.reject(problem))
  const below: readonly Layer[] = [
    locate({ passHealth: false }),
    identify(clients),
    admit(limit, admission),
    deadline({ clock, totalMs, streamTotalMs: totalMs }),
    body({ clock, idleMs }),
    credential(scheme, key),
  ]
  return stack([...above, ...below], carried)
}

/** What stands for a Reply where http-proxy has answered, and has the socket. */
const upgraded: Reply = {
  status: 101,
  headers: {},
  framed: true,
  complete: () => true,
  flow: () => ({ pause: () => {}, resume: () => {}, close: () => {} }),
  drop: () => {},
}

/** One attempt. http-proxy opens, asks, answers 101 and moves the bytes; what it leaves open is done around it. */
async function carry(options: TunnelOptions, session: Session, call: Call, opened: () => void): Promise<Reply> {
  const { clock, connector, upstream, firstMs, idleMs } = options
  const { req } = session
  const { life, facts } = call
  facts.upstream = upstream.name
  // Not before the first upgrade: most pods never see one, and it costs megabytes.
  const { createProxyServer } = await import('http-proxy')
  return new Promise((give, refuse) => {
    let giveUp: (() => void) | undefined
    let connection: Socket | undefined
    let request: ClientRequest | undefined
    let first: Alarm | undefined
    let settled = false

    const settle = (): void => {
      settled = true
      clock.clear(first)
      offCancel(life, fail)
    }
    // http-proxy leaves the upstream's socket open when the client goes before the 101.
    const fail = (err: SidecarError): void => {
      if (settled) return
      settle()
      giveUp?.()
      connection?.destroy()
      request?.destroy()
      refuse(err)
    }

    // http-proxy would dial by itself, and know nothing of CA, aliases or the proxy on the way.
    const agent = new Agent()
    agent.createConnection = (_options, done): undefined => {
      giveUp = connector.dial((err, socket) => {
        giveUp = undefined
        connection = socket
        if (socket === undefined) return fail(err ?? new SidecarError('internal', 'the connector gave nothing'))
        facts.connectedMs = clock.now()
        first = clock.set(firstMs, () => {
          fail(new SidecarError('first_event_timeout', `no answer to the upgrade within ${firstMs / 1_000} s (timeouts.connect)`))
        })
        done?.(null, socket)
      })
    }

    const carrier = createProxyServer({ target: 'http://upstream.invalid', agent })
    // Errors of the client's socket end in its `close`, which is listened to; unheard here, they would be thrown.
    carrier.on('error', () => {})
    carrier.on('proxyReqWs', (proxyReq) => {
      request = proxyReq
      // Ours alone, and byte for byte: http-proxy joins repeated headers and rewrites paths.
      proxyReq.path = pathAt(upstream.base, call.path ?? '')
      for (const [name, value] of grouped(call.headers, upstream.authority)) proxyReq.setHeader(name, value)
      proxyReq.once('finish', () => {
        facts.sentMs = clock.now()
      })
      // In front of http-proxy's own listener, which writes these headers, and would write them joined.
      proxyReq.once('upgrade', (reply) => {
        settle()
        facts.headMs = clock.now()
        facts.status = 101
        reply.headers = switched(reply, call)
        session.early?.giveBack()
      })
    })
    carrier.once('open', (socket) => {
      const { over } = session
      const sockets = pair({ clock, client: req.socket, upstream: socket, facts, idleMs, over })
      session.pair = sockets
      opened()
      onCancel(life, (reason) => {
        sockets.close(1001, farewell(reason, options), reason)
      })
      give(upgraded)
    })
    onCancel(life, fail)
    if (life.cancelled !== undefined) return
    facts.attempts++
    try {
      carrier.ws(standIn(req), req.socket, Buffer.alloc(0), {})
    } catch (err) {
      return fail(asSidecarError(err))
    }
    // Its own listeners end the client's socket without an answer, or relay one without back-pressure and hang when it is cut.
    request?.removeAllListeners('response').removeAllListeners('error')
    request?.on('error', (err: Error) => {
      fail(failureOf(err))
    })
    request?.once('response', (reply: IncomingMessage) => {
      if (settled) return
      settle()
      facts.headMs = clock.now()
      give(replyFrom(reply, life))
    })
  })
}

/** What http-proxy reads of a request, with nothing in it that could be passed on by accident. */
function standIn(req: IncomingMessage): IncomingMessage {
  return Object.create(req, { headers: { value: { upgrade: 'websocket', connection: 'Upgrade' } }, url: { value: '/' } }) as IncomingMessage
}

function farewell(reason: SidecarError, { totalMs }: TunnelOptions): string {
  if (reason.kind === 'draining') return 'Outrider: this pod is shutting down (draining)'
  return reason.kind === 'total_timeout'
    ? `Outrider: open for ${totalMs / 1_000} s, as long as timeouts.streamTotal allows (total_timeout)`
    : `Outrider: ${reason.message}`
}
