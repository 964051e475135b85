import type { Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { SidecarError } from '../errors.ts'

/** The HTTP proxy on the way out. */
export interface Egress {
  readonly host: string
  readonly port: number
  readonly secure: boolean
  /** `user:password` in base64; never printed. */
  readonly authorization: string | undefined
}

const longestHead = 16 * 1024

/** Asks the proxy behind `tcp` for a tunnel. Every upstream goes through a tunnel, plain ones too: no key is shown to the proxy in passing. */
export function openTunnel(
  egress: Egress,
  place: { readonly host: string; readonly port: number },
  tcp: Socket,
  use: (socket: Socket) => void,
  done: (err?: SidecarError) => void,
): void {
  const where = `${egress.host}:${egress.port}`
  const fail = (why: string, cause?: unknown): void => {
    done(new SidecarError('egress_failed', `the HTTP proxy ${where} ${why}`, { cause }))
  }
  if (!egress.secure) return ask(tcp)
  const secure = connectTls({ socket: tcp, servername: egress.host })
  use(secure)
  secure.once('error', (err) => {
    fail(`failed in its TLS handshake (${err.message})`, err)
  })
  secure.once('secureConnect', () => {
    ask(secure)
  })

  function ask(socket: Socket): void {
    const authority = `${place.host.includes(':') ? `[${place.host}]` : place.host}:${place.port}`
    const login = egress.authorization === undefined ? '' : `proxy-authorization: Basic ${egress.authorization}\r\n`
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
      if (end < 0) return head.length > longestHead ? fail('answered with an endless header') : undefined
      socket.off('readable', onReadable).off('close', onClose).off('error', onError)
      const line = head.toString('latin1', 0, head.indexOf('\r\n')).slice(0, 100)
      if (!/^HTTP\/1\.[01] 2\d\d(?: |$)/.test(line)) return fail(`refused the tunnel: ${line}`)
      if (end + 4 < head.length) socket.unshift(head.subarray(end + 4))
      done()
    }
    socket.on('readable', onReadable).on('close', onClose).on('error', onError)
    socket.write(`CONNECT ${authority} HTTP/1.1\r\nhost: ${authority}\r\n${login}\r\n`)
  }
}
