import { readFileSync } from 'node:fs'
import { createSecureContext, getCACertificates, type SecureContext } from 'node:tls'
import { watchFiles } from '../../config/watchFiles.ts'

export interface TrustFiles {
  /** Roots to trust besides the usual ones. */
  readonly cas: readonly string[]
  readonly cert: string | undefined
  readonly key: string | undefined
}

export interface Trust {
  readonly context: () => SecureContext
  readonly close: () => void
}

/**
 * Whom an upstream's connections trust and what they show, made anew when a file changes. One context for all of them: parsing the roots for
 * each connection would cost 36 ms of processor time each.
 */
export function openTrust(files: TrustFiles, say: (level: 'info' | 'error', message: string) => void): Trust {
  const paths = [...files.cas, files.cert, files.key].filter((path) => path !== undefined)
  let context: SecureContext | undefined
  const make = (): SecureContext =>
    createSecureContext({
      ...(files.cas.length === 0 ? {} : { ca: [...getCACertificates('default'), ...files.cas.map((path) => readFileSync(path, 'utf8'))] }),
      ...(files.cert === undefined ? {} : { cert: readFileSync(files.cert) }),
      ...(files.key === undefined ? {} : { key: readFileSync(files.key) }),
    })
  const renew = (): void => {
    try {
      context = make()
      say('info', `certificates read again: ${paths.join(', ')}`)
    } catch (err) {
      say('error', `certificates that cannot be used, the ones from before stay: ${paths.join(', ')} (${(err as Error).message})`)
    }
  }
  // At once where there are files, so that a wrong one is told at the start; else with the first connection that needs it.
  if (paths.length > 0) context = make()
  const watched = paths.length === 0 ? undefined : watchFiles(paths, renew)
  return {
    context: () => (context ??= make()),
    close: () => {
      watched?.close()
    },
  }
}
