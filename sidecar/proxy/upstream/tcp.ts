import type { LookupAddress } from 'node:dns'
import { connect, isIP, type Socket } from 'node:net'
import type { Clock } from '../clock.ts'
import { SidecarError } from '../errors.ts'
import type { Names } from './names.ts'
import type { Place } from './place.ts'
import { connectWithSharedReads } from './sharedReads.ts'

export interface TcpOptions {
  readonly place: Place
  readonly names: Names
  readonly clock: Clock
  /** It is Undici alone that reads from it. */
  readonly forUndici: boolean
  /** Hears of each socket before it is connected, so that it can be given up. */
  readonly use: (socket: Socket) => void
  readonly isOver: () => boolean
}

/**
 * A name that led nowhere is looked up once more: its address may have changed since. Who has gone refuses, or, as a pod does whose address is
 * nobody's any more, says nothing at all.
 */
export function openTcp({ place, names, clock, forUndici, use, isOver }: TcpOptions, done: (err?: SidecarError) => void): void {
  const host = place.egress?.host ?? place.host
  const port = place.egress?.port ?? place.port
  const { addresses } = place.egress === undefined ? place : { addresses: undefined }
  const attempt = (mayAskAgain: boolean): void => {
    let remembered: readonly LookupAddress[] | undefined
    const lookup = (_host: string, _options: unknown, answer: (err: NodeJS.ErrnoException | null, list: never) => void): void => {
      if (addresses !== undefined) return answer(null, addresses.map((address) => ({ address, family: isIP(address) })) as never)
      names.resolve(host, (err, list, isOld) => {
        if (isOld) remembered = list
        answer(err, list as never)
      })
    }
    const open = forUndici ? connectWithSharedReads : connect
    const socket = open({
      // Where the url holds an address, it would be dialled without a look at ours.
      host: addresses === undefined ? host : 'fixed-addresses',
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
      if (!mayAskAgain || remembered === undefined) return done(tcpError(err, `${host}:${port}`, place.egress !== undefined))
      names.forget(host)
      attempt(false)
    }
    socket.once('error', onError)
    // What is remembered is answered at once.
    if (mayAskAgain && remembered !== undefined) {
      const known = remembered
      const alarm = clock.set(Math.min(known.length, mostTurns) * turnMs, () => {
        names.forget(host)
        names.resolve(host, (err, list) => {
          // A slow way to the same place is not given up.
          if (err !== null || isOver() || !socket.connecting || isSame(known, list)) return
          socket.off('error', onError).on('error', () => {})
          socket.destroy()
          attempt(false)
        })
      })
      for (const event of ['connect', 'close']) socket.once(event, () => clock.clear(alarm))
    }
    socket.once('connect', () => {
      // What happens to it from here on is no failure to connect.
      socket.off('error', onError).on('error', () => {})
      done()
    })
  }
  attempt(true)
}

/** Every address gets a turn; a live one across an ocean answers well within this. */
const turnMs = 1_000
const allAddresses = { autoSelectFamily: true, autoSelectFamilyAttemptTimeout: turnMs }
/** Of a long list that has come to nothing so far, the rest is old as well. */
const mostTurns = 3

function isSame(known: readonly LookupAddress[], list: readonly LookupAddress[]): boolean {
  return known.length === list.length && known.every(({ address }) => list.some((one) => one.address === address))
}

const unresolved: Readonly<Record<string, string>> = {
  ENOTFOUND: 'ENOTFOUND: no name server knows it',
  EAI_AGAIN: 'EAI_AGAIN: no name server answered',
}

function tcpError(err: NodeJS.ErrnoException, where: string, isProxy: boolean): SidecarError {
  if (err.syscall === 'getaddrinfo' || err.code === 'ENOTFOUND' || err.code === 'EAI_AGAIN') {
    const why = `does not resolve (${unresolved[err.code ?? ''] ?? err.code ?? err.message})`
    return isProxy
      ? new SidecarError('egress_failed', `the name of the HTTP proxy ${where} ${why}`, { cause: err })
      : new SidecarError('dns_failed', `the name of the host in ${where} ${why}`, { cause: err })
  }
  const all = err instanceof AggregateError ? (err.errors as NodeJS.ErrnoException[]) : [err]
  // Nothing left this machine, so the upstream is not to blame.
  if (all.every(({ code }) => code === 'EMFILE' || code === 'ENFILE')) {
    return new SidecarError('proxy_overloaded', 'no file descriptors are left for a connection to the upstream (ulimit -n)', {
      cause: err,
      retryAfterMs: 1_000,
    })
  }
  const reasons = all.map((one) => one.message.replace(/^connect /, '')).join('; ')
  if (isProxy) return new SidecarError('egress_failed', `no connection to the HTTP proxy ${where} (${reasons})`, { cause: err })
  const kind = all.every((one) => one.code === 'ETIMEDOUT') ? 'connect_timeout' : 'connect_failed'
  return new SidecarError(kind, `no connection to ${where} (${reasons})`, { cause: err })
}
