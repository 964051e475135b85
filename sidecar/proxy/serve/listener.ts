import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerOptions, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { SidecarError } from '../errors.ts'
import { inOneWrite } from '../oneWrite.ts'
import { breakCall } from './border.ts'
import { isEnding } from './ending.ts'
import { LeanRequest } from './leanRequest.ts'
import { isAnswering, refuseInTurn, unfinished } from './refuseRaw.ts'

/** What may change while it listens. */
export interface Bounds {
  readonly headerBytes: number
  readonly clientHeadMs: number
  readonly keepAliveMs: number
}

export interface ListenerOptions extends Bounds {
  /** `localhost` stands for both loopback addresses. */
  readonly host: string
  readonly port: number
  readonly tls: { readonly cert: string; readonly key: string } | undefined
  readonly onCall: (req: LeanRequest, res: ServerResponse) => void
  readonly onUpgrade: (req: IncomingMessage, socket: Duplex, head: Buffer) => void
  /** Hears of requests that never became calls. */
  readonly onRefused: (err: SidecarError) => void
}

export interface Listener {
  readonly port: number
  readonly addresses: readonly string[]
  readonly setTls: (tls: { cert: string; key: string }) => void
  /** For connections from now on. */
  readonly setBounds: (bounds: Bounds) => void
  /** Why a connection's bytes stopped being HTTP. */
  readonly broken: (req: IncomingMessage) => SidecarError | undefined
  readonly stopListening: () => void
  readonly closeAll: () => void
}

/**
 * Listens where the app calls. One server an address, since a server of node:http listens once and a bare net.Server in front of it would
 * never close clients that send a byte a second.
 */
export async function listen(options: ListenerOptions): Promise<Listener> {
  const broken = new WeakMap<Socket, SidecarError>()
  const servers = await serversFor(options, broken)
  const port = portOf(servers[0]) ?? options.port
  return {
    port,
    addresses: servers.map((server) => {
      const { address, family } = server.address() as AddressInfo
      return `${family === 'IPv6' ? `[${address}]` : address}:${port}`
    }),
    setTls: (tls) => {
      for (const server of servers) if ('setSecureContext' in server) (server as import('node:https').Server).setSecureContext(tls)
    },
    setBounds: (bounds) => {
      for (const server of servers) rebind(server, bounds)
    },
    broken: (req) => broken.get(req.socket),
    stopListening: () => {
      for (const server of servers) server.close()
    },
    closeAll: () => {
      for (const server of servers) server.closeAllConnections()
    },
  }
}

/** How often another free port is tried when the one that is free on 127.0.0.1 is taken on ::1. */
const mostTries = 20

async function serversFor(options: ListenerOptions, broken: WeakMap<Socket, SidecarError>, tries = 1): Promise<Server[]> {
  const hosts = options.host === 'localhost' ? ['127.0.0.1', '::1'] : [options.host]
  const servers: Server[] = []
  for (const host of hosts) {
    const server = serverFor(options, broken)
    try {
      await opened(server, host, portOf(servers[0]) ?? options.port)
      servers.push(server)
    } catch (err) {
      // A pod without IPv6 is no error, nor is one without IPv4, as long as one of them works.
      if (hosts.length > 1 && isMissingFamily(err)) continue
      for (const one of servers) one.close()
      if (options.port === 0 && servers.length > 0 && isTaken(err) && tries < mostTries) return serversFor(options, broken, tries + 1)
      throw err
    }
  }
  if (servers.length === 0) throw new Error('neither 127.0.0.1 nor ::1 can be listened on')
  return servers
}

const portOf = (server: Server | undefined): number | undefined => (server?.address() as AddressInfo | null | undefined)?.port

function serverFor(options: ListenerOptions, broken: WeakMap<Socket, SidecarError>): Server {
  const settings: ServerOptions = {
    ...boundsOf(options),
    IncomingMessage: LeanRequest,
    // A body has a bound on silence instead: 512 MB over a slow line is no fault.
    requestTimeout: 0,
    keepAliveTimeoutBuffer: 1_000,
    noDelay: true,
    // Node's own refusal says nothing; ours is made where all shapes are looked at.
    requireHostHeader: false,
    // Only a WebSocket is an upgrade; Java's default client offers h2c with every POST, and would lose its body.
    shouldUpgradeCallback: (req: IncomingMessage) => req.method === 'GET' && req.headers.upgrade?.toLowerCase() === 'websocket',
  }
  // Few listeners speak TLS, and each module of Node is memory of every pod.
  const server =
    options.tls === undefined
      ? createServer(settings)
      : process.getBuiltinModule('node:https').createServer({ ...settings, ...options.tls })
  // With a count here, Node drops the lines beyond it without a word, be it the length or the key; all come, and too many are refused.
  server.maxHeadersCount = 0
  server.timeout = 0
  server.on(options.tls === undefined ? 'connection' : 'secureConnection', inOneWrite)
  // As the settings have it, every request is a lean one.
  const onCall = options.onCall as RequestListener
  server.on('request', onCall)
  // The same path as any call: whoever asks before sending gets `100 Continue` when its body is wanted.
  server.on('checkContinue', onCall)
  server.on('checkExpectation', onCall)
  server.on('upgrade', (req, socket, head) => {
    // Behind a call that is not answered yet, the switch of protocols would land in front of that answer.
    if (isEnding(req.socket)) return socket.destroy()
    if (!isAnswering(req.socket)) return options.onUpgrade(req, socket, head)
    refuseInTurn(
      req.socket,
      new SidecarError('bad_request', 'an upgrade was sent before the call in front of it was answered'),
      options.onRefused,
    )
  })
  server.on('connect', (req) => {
    if (isEnding(req.socket)) return req.socket.destroy()
    refuseInTurn(
      req.socket,
      new SidecarError(
        'bad_request',
        'this is no forward proxy, and CONNECT is not served: let the base URL of the app name this port, and not HTTPS_PROXY',
      ),
      options.onRefused,
    )
  })
  server.on('clientError', (err: NodeJS.ErrnoException, duplex) => {
    const socket = duplex as Socket
    const failure = shapeError(err, socket, server)
    if (failure === undefined) return socket.destroy()
    // What follows broken bytes is broken too, and Node says so for every packet.
    if (broken.has(socket)) return
    broken.set(socket, failure)
    // In the middle of a body there is a call that can answer for itself, and an attempt that must not end as whole.
    const req = unfinished(socket)
    if (req !== undefined && breakCall(req, failure)) return
    refuseInTurn(socket, failure, options.onRefused)
  })
  return server
}

function boundsOf({ headerBytes, clientHeadMs, keepAliveMs }: Bounds) {
  return {
    headersTimeout: clientHeadMs,
    keepAliveTimeout: keepAliveMs,
    connectionsCheckingInterval: Math.max(100, Math.min(5_000, clientHeadMs / 4)),
    maxHeaderSize: headerBytes,
  }
}

function rebind(server: Server, bounds: Bounds): void {
  Object.assign(server, boundsOf(bounds))
  // At this event Node begins to look for slow clients, and there is no other way to make it look more often.
  server.emit('listening')
}

/** Undefined for a client that merely left, or never said a word. */
function shapeError(err: NodeJS.ErrnoException & { rawPacket?: Buffer }, socket: Socket, server: Server): SidecarError | undefined {
  const { headersTimeout, maxHeaderSize } = server as Server & { readonly maxHeaderSize?: number }
  if (err.code === 'HPE_HEADER_OVERFLOW') {
    return new SidecarError('header_too_large', `the header is larger than ${maxHeaderSize} bytes, the most that limits.header allows`)
  }
  if (err.code === 'ERR_HTTP_REQUEST_TIMEOUT') {
    if (socket.bytesRead === 0) return undefined
    return new SidecarError(
      'client_timeout',
      `the header of the request was not whole within ${headersTimeout / 1_000} s (timeouts.clientHead)`,
    )
  }
  if (err.code?.startsWith('HPE_') !== true || err.code === 'HPE_INVALID_EOF_STATE') return undefined
  const { rawPacket } = err
  const why = isTls(rawPacket) ? overTls : err.code === 'HPE_PAUSED_H2_UPGRADE' ? overHttp2 : err.message.replace(/^Parse Error: /, '')
  return new SidecarError('bad_request', `the request is not valid HTTP (${why})`, { cause: err })
}

const overTls = 'it begins with a TLS handshake, and this port speaks plain HTTP: let the base URL begin with http://'
const overHttp2 = 'HTTP/2 is not spoken here: let the client speak HTTP/1.1'

/** As a record of TLS begins (RFC 8446, 5.1); no method of HTTP does. */
const isTls = (bytes: Buffer | undefined): boolean => bytes?.[0] === 0x16 && bytes[1] === 0x03

function opened(server: Server, host: string, port: number): Promise<void> {
  return new Promise((done, refuse) => {
    server.once('error', refuse)
    server.listen({ host, port, ipv6Only: host === '::1' }, () => {
      server.off('error', refuse)
      // Running out of file descriptors must not end the process; the calls in flight go on and the next ones wait.
      server.on('error', () => {})
      done()
    })
  })
}

const isTaken = (err: unknown): boolean => (err as NodeJS.ErrnoException).code === 'EADDRINUSE'

function isMissingFamily(err: unknown): boolean {
  const { code } = err as NodeJS.ErrnoException
  return code === 'EADDRNOTAVAIL' || code === 'EAFNOSUPPORT'
}
