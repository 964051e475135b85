import { isIP, type Socket } from 'node:net'
import { connect as connectTls, type SecureContext } from 'node:tls'
import { SidecarError } from '../errors.ts'
import { tlsReason } from './tlsReason.ts'

/** The HTTP proxy on the way out. */
export interface Egress {
  readonly host: string
  readonly port: number
  readonly secure: boolean
  /** `user:password` in base64; never printed. */
  readonly authorization: string | undefined
  /** Whom to trust where the proxy itself is reached over TLS; it is never shown the certificate that is meant for the upstream. */
  readonly context: () => SecureContext
}

export interface TunnelOptions {
  readonly egress: Egress
  readonly place: { readonly host: string; readonly port: number }
  readonly tcp: Socket
  /** Hears of the socket that takes the place of `tcp`, where there is one. */
  readonly use: (socket: Socket) => void
}

const longestHead = 16 * 1024

/**
 * Asks the proxy behind `tcp` for a tunnel. Every upstream goes through a tunnel, plain ones too: the other form, a whole URL in the request
 * line, would mix the proxy's answers with those of the upstream, and an error of the one would pass for an error of the other.
 */
export function openTunnel({ egress, place, tcp, use }: TunnelOptions, done: (err?: SidecarError) => void): void {
  const fail = (why: string, cause?: unknown): void => {
    done(new SidecarError('egress_failed', `the HTTP proxy ${egress.host}:${egress.port} ${why}`, { cause }))
  }
  const request = connectRequest(place, egress.authorization)
  if (!egress.secure) return ask(tcp, request, fail, done)
  const secure = connectTls({
    socket: tcp,
    host: egress.host,
    servername: isIP(egress.host) === 0 ? egress.host : '',
    secureContext: egress.context(),
  })
  use(secure)
  const onError = (err: NodeJS.ErrnoException): void => {
    fail(`failed in its TLS handshake: ${tlsReason(err, egress.host, 'network.ca')}`, err)
  }
  const onClose = (): void => {
    fail('closed the connection during its TLS handshake')
  }
  secure.once('error', onError)
  secure.once('close', onClose)
  secure.once('secureConnect', () => {
    secure
      .off('error', onError)
      .off('close', onClose)
      .on('error', () => {})
    ask(secure, request, fail, done)
  })
}

function connectRequest({ host, port }: TunnelOptions['place'], authorization: string | undefined): string {
  const authority = `${host.includes(':') ? `[${host}]` : host}:${port}`
  const login = authorization === undefined ? '' : `proxy-authorization: Basic ${authorization}\r\n`
  return `CONNECT ${authority} HTTP/1.1\r\nhost: ${authority}\r\n${login}\r\n`
}

function ask(socket: Socket, request: string, fail: (why: string, cause?: unknown) => void, done: () => void): void {
  let head = Buffer.alloc(0)
  const onClose = (): void => {
    fail('closed the connection without an answer')
  }
  const onError = (err: Error): void => {
    fail(`broke the connection (${err.message})`, err)
  }
  const onReadable = (): void => {
    const chunk = socket.read() as Buffer | null
    if (chunk === null) return
    head = Buffer.concat([head, chunk])
    const end = head.indexOf('\r\n\r\n')
    const line = head.toString('latin1', 0, Math.min(longestLine, Math.max(head.indexOf('\r\n'), 0) || head.length))
    if (!'HTTP/1.'.startsWith(line.slice(0, 7))) return fail('answered with something that is not HTTP')
    if (end < 0) return head.length > longestHead ? fail('answered with an endless header') : undefined
    socket.off('readable', onReadable).off('close', onClose)
    if (!/^HTTP\/1\.[01] 2\d\d(?: |$)/.test(line)) return fail(refusal(line))
    socket.off('error', onError)
    if (end + 4 < head.length) socket.unshift(head.subarray(end + 4))
    done()
  }
  socket.on('readable', onReadable).on('close', onClose).on('error', onError)
  socket.write(request)
}

const longestLine = 100

function refusal(line: string): string {
  const told = `refused the tunnel: ${line.replaceAll(/[^\x20-\x7e]/g, '?')}`
  return line.startsWith('407', 9) ? `${told} (its URL takes a login: http://USER:PASSWORD@HOST:PORT)` : told
}
