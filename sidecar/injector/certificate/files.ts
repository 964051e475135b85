import { readFileSync } from 'node:fs'
import { createSecureContext } from 'node:tls'
import { watchFiles } from '../../config/watchFiles.ts'
import { soon } from '../soon.ts'
import type { Webhook } from '../webhook.ts'
import type { Certificate, CertificateUse } from './certificate.ts'
import { certificatesIn } from './trust.ts'

export interface FilesOptions extends CertificateUse {
  readonly webhook: Webhook
  readonly cert: string
  readonly key: string
  /** Written into the webhook; where it is left out, somebody else does that, such as cert-manager. */
  readonly ca: string | undefined
}

const unhurriedMs = 60_000

/** A certificate that somebody else makes and renews, in a mounted Secret. */
export function certificateOfFiles({ webhook, cert, key, ca, use, say, repaired }: FilesOptions): Certificate {
  let shown = { cert: '', key: '' }

  const read = (): void => {
    const pair = { cert: textOf(cert), key: textOf(key) }
    if (pair.cert === shown.cert && pair.key === shown.key) return
    try {
      createSecureContext(pair)
    } catch (err) {
      throw new Error(`${cert} and ${key} are of no use together: ${(err as Error).message}`, { cause: err })
    }
    shown = pair
    use(pair)
    say('info', `serving with the certificate of ${cert}, valid to ${certificatesIn(pair.cert)[0]?.validTo}`)
  }

  const looking = soon({
    run: async () => {
      read()
      if (ca === undefined) return unhurriedMs
      const bundle = textOf(ca)
      if (certificatesIn(bundle).length === 0) throw new Error(`${ca} holds no certificate`)
      // Another replica may have got its files earlier or later than this one: what it put there stays until it has expired.
      const entries = await webhook.repair({ bundle, strangersMs: Number.POSITIVE_INFINITY })
      if (entries > 0) repaired(entries)
      return unhurriedMs
    },
    failed: (err) => {
      say(
        'error',
        `${(err as Error).message}${shown.cert === '' ? '; until there is a certificate, the webhook answers nobody' : '; the certificate from before stays in use'}`,
      )
    },
  })

  const watching = watchFiles([cert, key, ...(ca === undefined ? [] : [ca])], looking.now)
  looking.now()
  return {
    chain: () => certificatesIn(shown.cert),
    expiries: () => {
      const [leaf] = certificatesIn(shown.cert)
      return leaf === undefined ? {} : { leaf: leaf.validToDate.getTime() }
    },
    look: looking.now,
    close: () => {
      watching.close()
      looking.close()
    },
  }
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (err) {
    const { code } = err as NodeJS.ErrnoException
    throw new Error(`${file} ${code === 'ENOENT' ? 'does not exist' : `cannot be read (${code})`}`, { cause: err })
  }
}
