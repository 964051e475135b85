import { connect as connectTcp, type Socket } from 'node:net'
import { connect as connectTls, type SecureContext, type TLSSocket } from 'node:tls'
import type { Clock } from '../clock.ts'
import { SidecarError } from '../errors.ts'
import { openTunnel, type Egress } from './egress.ts'
import type { Names } from './names.ts'

/** Where an upstream's connections go. */
export interface Place {
  readonly host: string
  readonly port: number
  /** Undefined for plain HTTP. */
  readonly tls: { readonly serverName: string; readonly context: () => SecureContext; readonly http2: boolean } | undefined
  /** Fixed addresses in place of what the name resolves to; Host and SNI stay. */
  readonly addresses: readonly string[] | undefined
  readonly egress: Egress | undefined
}

export interface Connector {
  /** Opens one connection; the answer gives it up. `done` hears once, unless it was given up. */
  readonly dial: (done: (err: SidecarError | undefined, socket?: Socket) => void) => () => void
}

export interface ConnectorOptions {
  readonly place: Place
  readonly names: Names
  readonly clock: Clock
  readonly timeoutMs: number
}

/**
 * Opens connections: name, address after address, proxy, TLS, all under one bound. Undici is handed the finished socket and never dials:
 * its own connector cannot be cancelled, does not time a proxy's answer, and reconnects without end after some errors.
 */
export function connector({ place, names, clock, timeoutMs }: ConnectorOptions): Connector {
  let session: Buffer | undefined

  const dial: Connector['dial'] = (done) => {
    let socket: Socket | undefined
    let over = false
    const stop = (): void => {
      over = true
      clock.clear(alarm)
      socket?.on('error', () => {}).destroy()
    }
    const end = (err: SidecarError | undefined): void => {
      if (over) return
      if (err !== undefined) stop()
      over = true
      clock.clear(alarm)
      socket?.removeAllListeners()
      done(err, err === undefined ? socket : undefined)
    }
    const alarm = clock.set(timeoutMs, () => {
      end(new SidecarError('connect_timeout', `no connection to ${place.host}:${place.port} within ${timeoutMs / 1_000} s`))
    })
    openTcp(
      (use) => {
        socket = use
      },
      () => over,
      (err) => {
        if (err !== undefined || over || socket === undefined) return end(err)
        const { egress, tls } = place
        const secure = (tunnelErr?: SidecarError): void => {
          if (tunnelErr !== undefined || tls === undefined || socket === undefined || over) return end(tunnelErr)
          socket = startTls(socket, tls, end)
        }
        if (egress === undefined) secure()
        else
          openTunnel(
            egress,
            place,
            socket,
            (use) => {
              socket = use
            },
            secure,
          )
      },
    )
    return () => {
      if (!over) stop()
    }
  }

  /** A name that led nowhere is looked up once more: its address may have changed since. */
  const openTcp = (use: (socket: Socket) => void, isOver: () => boolean, done: (err?: SidecarError) => void): void => {
    const host = place.egress?.host ?? place.host
    const port = place.egress?.port ?? place.port
    const attempt = (mayForget: boolean): void => {
      const { addresses } = place.egress === undefined ? place : { addresses: undefined }
      const lookup = (_host: string, _options: unknown, answer: (err: NodeJS.ErrnoException | null, list: never) => void): void => {
        if (addresses !== undefined) answer(null, addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })) as never)
        else
          names.resolve(host, (err, list) => {
            answer(err, list as never)
          })
      }
      const socket = connectTcp({ host, port, lookup, noDelay: true, keepAlive: true, keepAliveInitialDelay: 30_000, ...allAddresses })
      use(socket)
      socket.once('connect', () => {
        done()
      })
      socket.once('error', (err: NodeJS.ErrnoException) => {
        if (isOver()) return
        if (mayForget && addresses === undefined && names.forget(host)) attempt(false)
        else done(tcpError(err, `${host}:${port}`))
      })
    }
    attempt(true)
  }

  const startTls = (tcp: Socket, tls: NonNullable<Place['tls']>, done: (err?: SidecarError) => void): TLSSocket => {
    const secure = connectTls({
      socket: tcp,
      servername: tls.serverName,
      secureContext: tls.context(),
      ALPNProtocols: tls.http2 ? ['h2', 'http/1.1'] : ['http/1.1'],
      ...(session === undefined ? {} : { session }),
    })
    secure.setNoDelay(true)
    secure.once('secureConnect', () => {
      done()
      secure.on('session', (ticket) => {
        session = ticket
      })
    })
    secure.once('error', (err: NodeJS.ErrnoException) => {
      done(tlsError(err, place.host))
    })
    secure.once('close', () => {
      done(new SidecarError('tls_failed', `${place.host} closed the connection during the TLS handshake`))
    })
    return secure
  }

  return { dial }
}

/** Every address gets a turn; a live one across an ocean answers well within this. */
const allAddresses = { autoSelectFamily: true, autoSelectFamilyAttemptTimeout: 1_000 }

function tcpError(err: NodeJS.ErrnoException, where: string): SidecarError {
  if (err.syscall === 'getaddrinfo' || err.code === 'ENOTFOUND' || err.code === 'EAI_AGAIN') {
    return new SidecarError('dns_failed', `the name in ${where} does not resolve (${err.code ?? err.message})`, { cause: err })
  }
  const all = err instanceof AggregateError ? (err.errors as NodeJS.ErrnoException[]) : [err]
  const reasons = all.map((one) => one.message.replace(/^connect /, '')).join('; ')
  const kind = all.every((one) => one.code === 'ETIMEDOUT') ? 'connect_timeout' : 'connect_failed'
  return new SidecarError(kind, `no connection to ${where} (${reasons})`, { cause: err })
}

function tlsError(err: NodeJS.ErrnoException, host: string): SidecarError {
  const why = err.code === undefined ? err.message : `${err.code}: ${err.message}`
  return new SidecarError('tls_failed', `the TLS handshake with ${host} failed (${why.replaceAll('\n', ' ').slice(0, 300)})`, {
    cause: err,
  })
}
