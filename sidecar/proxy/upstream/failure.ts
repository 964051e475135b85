import { asSidecarError, SidecarError } from '../errors.ts'
import { noHttp } from './noHttp.ts'
import { tlsReason } from './tlsReason.ts'

/** How far an attempt had come when its connection failed. */
export interface Stage {
  /** The head of the answer was in. */
  readonly headed: boolean
  /** At least one byte of an answer was in. */
  readonly started: boolean
  /** The connection had carried an earlier call, and nothing came for this one. */
  readonly reused: boolean
  /** Zero when not a byte of the call had been written. */
  readonly sinceBeganMs: number
  /** Whether TLS is spoken on the connection, where this was the first call on it: what is wrong with it then may be wrong with the config. */
  readonly first: 'plain' | 'secure' | undefined
}

/** Codes that say nothing to who does not know Undici. */
const told: Readonly<Record<string, string>> = {
  UND_ERR_HEADERS_OVERFLOW: 'its header has more than 64 KiB',
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: 'its content-length does not fit the rest of its header',
}

/** What servers that close without a word may have wanted. */
const hints = {
  plain: '; if the upstream expects TLS on this port, its url must begin with https://',
  secure: "; does it ask for a client certificate (the upstream's tls.cert and tls.key)?",
}

/**
 * An upstream that closed a kept connection does so at once; one that took a second may have worked on the call. No setting: with a longer time calls
 * that may be billed would be repeated uncounted.
 */
const staleWithinMs = 1_000

/** The one place that knows undici's errors. */
export function failureOf(err: Error & { code?: string }, { headed, started, reused, sinceBeganMs, first }: Stage): SidecarError {
  if (err instanceof SidecarError) return err
  // Undici hands what our own callbacks throw back to us as if the connection had failed.
  if (isDefect(err)) return asSidecarError(err)
  const why = told[err.code ?? ''] ?? (err.code === 'UND_ERR_SOCKET' ? err.message : (err.code ?? err.message))
  if (headed) return new SidecarError('reply_cut', `the answer broke off before its end (${why})`, { cause: err })
  // With TLS 1.3 the upstream refuses our certificate, or its absence, when for us the handshake is long over.
  if (!started && !reused && err.code?.startsWith('ERR_SSL_') === true && err.code.includes('ALERT')) {
    return new SidecarError('tls_failed', `the TLS handshake failed: ${tlsReason(err, 'the upstream')}`, { cause: err })
  }
  if (isNonsense(err)) return new SidecarError('bad_reply', `the answer is not HTTP that can be used (${noHttp(why)})`, { cause: err })
  if (err.code === 'UND_ERR_INVALID_ARG' || err.code === 'UND_ERR_NOT_SUPPORTED') {
    return new SidecarError('bad_request', `the request cannot be passed on (${err.message})`, { cause: err, quotes: true })
  }
  if (reused && sinceBeganMs < staleWithinMs) {
    return new SidecarError('stale_connection', 'the upstream had closed a kept connection', { cause: err })
  }
  const hint = first === undefined || started || sinceBeganMs > staleWithinMs ? '' : hints[first]
  const begun = started ? 'in the middle of the head of its answer' : 'without an answer'
  return new SidecarError('no_reply', `the connection closed ${begun} (${why})${hint}`, { cause: err })
}

function isNonsense(err: Error & { code?: string }): boolean {
  if (err.name === 'HTTPParserError' || err.code === 'UND_ERR_HEADERS_OVERFLOW') return true
  // Inside of a head: two lengths, or a length beside chunks.
  if (err.code === 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH') return true
  return err.code === 'UND_ERR_SOCKET' && err.message.startsWith('bad ')
}

/** Whatever fails on the way to an upstream has a code. */
function isDefect(err: Error & { code?: string }): boolean {
  return err.code === undefined && (err instanceof TypeError || err instanceof RangeError || err instanceof ReferenceError)
}
