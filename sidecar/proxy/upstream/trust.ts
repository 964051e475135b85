import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createSecureContext, getCACertificates, type SecureContext } from 'node:tls'
import { fileFault } from '../../config/fileFault.ts'
import { ConfigRefused } from '../../config/refused.ts'
import { watchFiles } from '../../config/watchFiles.ts'

interface Named {
  /** What the config calls it. */
  readonly setting: string
  readonly file: string
}

export interface TrustFiles {
  /** Roots to trust besides the usual ones. */
  readonly cas: readonly Named[]
  readonly cert?: Named | undefined
  readonly key?: Named | undefined
}

/** A file that a setting names, if it does. */
export const named = (setting: string, file: string | undefined): Named | undefined => (file === undefined ? undefined : { setting, file })

export interface Trust {
  readonly context: () => SecureContext
  readonly close: () => void
}

/**
 * Whom an upstream's connections trust and what they show, made anew when a file changes. One context for all of them: parsing the roots for
 * each connection would cost 36 ms of processor time each.
 */
export function openTrust(files: TrustFiles, say: (level: 'info' | 'error', message: string) => void): Trust {
  const paths = [...files.cas, files.cert, files.key].flatMap((one) => one?.file ?? [])
  if (paths.length === 0) {
    let usual: SecureContext | undefined
    return { context: () => (usual ??= createSecureContext()), close: () => {} }
  }
  const renew = (): void => {
    try {
      context = make(files)
      say('info', `certificates read again: ${paths.join(', ')}`)
    } catch (err) {
      say('error', `certificates that cannot be used, the ones from before stay: ${(err as Error).message}`)
    }
  }
  // Before the files are read, so that no change falls between the two.
  const watched = watchFiles(paths, renew)
  let context: SecureContext
  try {
    // Now and not with the first connection, so that a wrong file is told at the start.
    context = make(files)
  } catch (err) {
    watched.close()
    throw err
  }
  return { context: () => context, close: watched.close }
}

function make({ cas, cert, key }: TrustFiles): SecureContext {
  const options = {
    ...(cas.length === 0 ? {} : { ca: [...getCACertificates('default'), ...cas.flatMap(certificatesIn)] }),
    ...(cert === undefined ? {} : { cert: certificatesIn(cert).join('\n') }),
    ...(key === undefined ? {} : { key: read(key) }),
  }
  try {
    return createSecureContext(options)
  } catch (err) {
    throw refused(key, `cannot be used with ${cert?.file ?? 'its certificate'} (${(err as Error).message})`)
  }
}

const pem = /-----BEGIN (?:TRUSTED )?CERTIFICATE-----[^-]+-----END (?:TRUSTED )?CERTIFICATE-----/g

/** Looked at one by one: OpenSSL passes over what it cannot read without a word, and every connection would fail instead. */
function certificatesIn(from: Named): string[] {
  const found = read(from).match(pem) ?? []
  if (found.length === 0) throw refused(from, 'holds no certificate in PEM form')
  for (const [index, text] of found.entries()) {
    try {
      new X509Certificate(text)
    } catch (err) {
      throw refused(from, `holds a certificate that cannot be read, number ${index + 1} of ${found.length} (${(err as Error).message})`)
    }
  }
  return found
}

function read(from: Named): string {
  try {
    return readFileSync(from.file, 'utf8')
  } catch (err) {
    throw refused(from, fileFault(err))
  }
}

const refused = (from: Named | undefined, message: string): ConfigRefused =>
  new ConfigRefused(from?.file ?? '', [{ path: from?.setting ?? '', message }])
