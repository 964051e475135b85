import { isIP, type Socket } from 'node:net'
import { connect as connectTls, type SecureContext, type TLSSocket } from 'node:tls'
import type { Clock } from '../clock.ts'
import { SidecarError } from '../errors.ts'
import { openTunnel } from './egress.ts'
import type { Names } from './names.ts'
import type { Place } from './place.ts'
import { openTcp } from './tcp.ts'
import { tlsReason } from './tlsReason.ts'

export type { Place } from './place.ts'

export interface Connector {
  /** Opens one connection; the answer gives it up. `done` hears once, unless it was given up. */
  readonly dial: (done: (err: SidecarError | undefined, socket?: Socket) => void) => () => void
}

export interface ConnectorOptions {
  readonly place: Place
  readonly names: Names
  readonly clock: Clock
  readonly timeoutMs: number
  /** Its sockets are for Undici, and for nobody else. */
  readonly forUndici: boolean
}

/**
 * Opens connections: name, address after address, proxy, TLS, all under one bound. Undici is handed the finished socket and never dials:
 * its own connector cannot be cancelled, does not time a proxy's answer, and reconnects without end after some errors.
 */
export function connector({ place, names, clock, timeoutMs, forUndici }: ConnectorOptions): Connector {
  const isPlain = place.tls === undefined && place.egress === undefined
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
      end(
        new SidecarError(
          'connect_timeout',
          `no connection to ${place.host}:${place.port}${via} within ${timeoutMs / 1_000} s (timeouts.connect)`,
        ),
      )
    })
    const use = (next: Socket): void => {
      socket = next
    }
    openTcp({ place, names, clock, forUndici: forUndici && isPlain, use, isOver: () => over }, (err) => {
      if (err !== undefined || over || socket === undefined) return end(err)
      const { egress, tls } = place
      const secure = (tunnelErr?: SidecarError): void => {
        if (tunnelErr !== undefined || tls === undefined || socket === undefined || over) return end(tunnelErr)
        socket = startTls(socket, tls, end)
      }
      if (egress === undefined) secure()
      else openTunnel({ egress, place, tcp: socket, use }, secure)
    })
    return () => {
      if (!over) stop()
    }
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

function tlsError(err: NodeJS.ErrnoException, host: string): SidecarError {
  return new SidecarError('tls_failed', `the TLS handshake failed: ${tlsReason(err, host)}`, { cause: err })
}
