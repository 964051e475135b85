import { readFileSync } from 'node:fs'
import { createSecureContext } from 'node:tls'
import { fileFault } from '../../config/fileFault.ts'
import { ConfigRefused } from '../../config/refused.ts'
import { watchFiles } from '../../config/watchFiles.ts'

export interface Tls {
  readonly cert: string
  readonly key: string
}

export interface OpenTls {
  readonly current: Tls | undefined
  /** Hands over each new pair that can be used; the answer ends that. */
  readonly watch: (changed: (tls: Tls) => void) => () => void
}

/** Certificate and key of the data port, read again when their files change. A pair that cannot be used is refused at the start and ignored later. */
export function openTls(files: Tls | undefined, say: (level: 'info' | 'error', message: string) => void): OpenTls {
  if (files === undefined) return { current: undefined, watch: () => () => {} }
  const current = readPair(files)
  let last = current
  const readAgain = (changed: (tls: Tls) => void): void => {
    try {
      const pair = readPair(files)
      if (pair.cert === last.cert && pair.key === last.key) return
      last = pair
      changed(pair)
      say('info', 'the certificate of the data port was read again')
    } catch (err) {
      say('error', `the certificate of the data port cannot be used, the one from before stays: ${(err as Error).message}`)
    }
  }
  return {
    current,
    watch: (changed) => {
      const { close } = watchFiles([files.cert, files.key], () => {
        readAgain(changed)
      })
      // What changed while the port was being opened.
      readAgain(changed)
      return close
    },
  }
}

const whyOf: Readonly<Record<string, string>> = {
  ERR_OSSL_X509_KEY_VALUES_MISMATCH: 'is not the certificate of the key in listen.tls.key',
  ERR_OSSL_PEM_NO_START_LINE: 'is of no use: it, or listen.tls.key, is no PEM file (-----BEGIN …)',
}

function readPair(files: Tls): Tls {
  const pair = { cert: readText(files, 'cert'), key: readText(files, 'key') }
  try {
    createSecureContext(pair)
  } catch (err) {
    const { code, message } = err as NodeJS.ErrnoException
    const why = whyOf[code ?? ''] ?? `is of no use with the key in listen.tls.key (${message})`
    throw new ConfigRefused(files.cert, [{ path: 'listen.tls.cert', message: why }])
  }
  return pair
}

function readText(files: Tls, which: 'cert' | 'key'): string {
  try {
    return readFileSync(files[which], 'utf8')
  } catch (err) {
    throw new ConfigRefused(files[which], [{ path: `listen.tls.${which}`, message: fileFault(err) }])
  }
}
