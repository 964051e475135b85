import { connect as connectTcp, isIP, type Socket } from 'node:net'
import { connect as connectTls, type SecureContext, type TLSSocket } from 'node:tls'
import type { Clock } from '../clock.ts'
import { SidecarError } from '../errors.ts'
import { openTunnel, type Egress } from './egress.ts'
import type { Names } from './names.ts'
import { tlsReason } from './tlsReason.ts'

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
  /** Kept with the trust under which it was made: resumed under another, it would pass over the check of the certificate. */
  let resumable: { readonly session: Buffer; readonly context: SecureContext } | undefined

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
      done(err, err === undefined ? socket : undefined)
    }
    const alarm = clock.set(timeoutMs, () => {
      const via = place.egress === undefined ? '' : ` through the HTTP proxy ${place.egress.host}:${place.egress.port}`
      end(new SidecarError('connect_timeout', `no connection to ${place.host}:${place.port}${via} within ${timeoutMs / 1_000} s`))
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
    const { addresses } = place.egress === undefined ? place : { addresses: undefined }
    const attempt = (mayAskAgain: boolean): void => {
      let remembered = false
      const lookup = (_host: string, _options: unknown, answer: (err: NodeJS.ErrnoException | null, list: never) => void): void => {
        if (addresses !== undefined) return answer(null, addresses.map((address) => ({ address, family: isIP(address) })) as never)
        names.resolve(host, (err, list, isOld) => {
          remembered = isOld
          answer(err, list as never)
        })
      }
      // An address in place of a name would be dialled without a look at ours.
      const dialled = addresses === undefined ? host : 'fixed-addresses'
      const socket = connectTcp({
        host: dialled,
        port,
        lookup,
        noDelay: true,
        keepAlive: true,
        keepAliveInitialDelay: 30_000,
        ...allAddresses,
      })
      use(socket)
      const onError = (err: NodeJS.ErrnoException): void => {
        if (isOver()) return
        if (!mayAskAgain || !remembered) return done(tcpError(err, `${host}:${port}`, place.egress !== undefined))
        names.forget(host)
        attempt(false)
      }
      socket.once('error', onError)
      socket.once('connect', () => {
        // What happens to it from here on is no failure to connect.
        socket.off('error', onError).on('error', () => {})
        done()
      })
    }
    attempt(true)
  }

  const startTls = (tcp: Socket, tls: NonNullable<Place['tls']>, done: (err?: SidecarError) => void): TLSSocket => {
    const context = tls.context()
    const name = tls.serverName.replace(/\.$/, '')
    const secure = connectTls({
      socket: tcp,
      // What the certificate is checked against; an address may not be asked for by SNI.
      host: name,
      servername: isIP(name) === 0 ? name : '',
      secureContext: context,
      ALPNProtocols: tls.http2 ? ['h2', 'http/1.1'] : ['http/1.1'],
      ...(resumable?.context === context ? { session: resumable.session } : {}),
    })
    const onError = (err: NodeJS.ErrnoException): void => {
      // A session that the upstream no longer likes must not spoil the next connection too.
      resumable = undefined
      done(tlsError(err, place.host))
    }
    const onClose = (): void => {
      resumable = undefined
      done(new SidecarError('tls_failed', `${place.host} closed the connection during the TLS handshake`))
    }
    secure.setNoDelay(true)
    // With TLS 1.2 the session is there before the handshake is over, with 1.3 some time after it.
    secure.on('session', (session) => {
      resumable = { session, context }
    })
    secure.once('error', onError)
    secure.once('close', onClose)
    secure.once('secureConnect', () => {
      secure.off('error', onError).off('close', onClose)
      done()
    })
    return secure
  }

  return { dial }
}

/** Every address gets a turn; a live one across an ocean answers well within this. */
const allAddresses = { autoSelectFamily: true, autoSelectFamilyAttemptTimeout: 1_000 }

function tcpError(err: NodeJS.ErrnoException, where: string, isProxy: boolean): SidecarError {
  if (err.syscall === 'getaddrinfo' || err.code === 'ENOTFOUND' || err.code === 'EAI_AGAIN') {
    const why = `does not resolve (${err.code ?? err.message})`
    return isProxy
      ? new SidecarError('egress_failed', `the name of the HTTP proxy ${where} ${why}`, { cause: err })
      : new SidecarError('dns_failed', `the name in ${where} ${why}`, { cause: err })
  }
  const all = err instanceof AggregateError ? (err.errors as NodeJS.ErrnoException[]) : [err]
  const reasons = all.map((one) => one.message.replace(/^connect /, '')).join('; ')
  if (isProxy) return new SidecarError('egress_failed', `no connection to the HTTP proxy ${where} (${reasons})`, { cause: err })
  const kind = all.every((one) => one.code === 'ETIMEDOUT') ? 'connect_timeout' : 'connect_failed'
  return new SidecarError(kind, `no connection to ${where} (${reasons})`, { cause: err })
}

function tlsError(err: NodeJS.ErrnoException, host: string): SidecarError {
  return new SidecarError('tls_failed', `the TLS handshake failed: ${tlsReason(err, host)}`, { cause: err })
}
