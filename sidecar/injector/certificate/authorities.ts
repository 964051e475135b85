import { createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto'

/** Signs the certificates of the replicas; both PEM. */
export interface CertificateAuthority {
  readonly cert: string
  readonly key: string
}

/** Signs no more, but is still trusted: leaves of it are in use. */
export interface Retired {
  readonly cert: string
  readonly untilMs: number
}

/** What the replicas share, by way of one Secret. */
export interface Authorities {
  readonly signing: CertificateAuthority
  /** Trusted already, so that it can begin to sign without a gap. */
  readonly next?: CertificateAuthority
  readonly old: readonly Retired[]
}

/** All that an API server must trust, as PEM. */
export const bundleOf = ({ signing, next, old }: Authorities): string =>
  [signing.cert, ...(next === undefined ? [] : [next.cert]), ...old.map(({ cert }) => cert)].join('')

export const knows = (authorities: Authorities, cert: string): boolean =>
  authorities.signing.cert === cert || authorities.next?.cert === cert || authorities.old.some((one) => one.cert === cert)

const stateKey = 'authorities.json'
/** For people and other tools. */
const bundleKey = 'ca.crt'

/** The `data` of the Secret. */
export function toSecretData(authorities: Authorities): Record<string, string> {
  const encoded = (text: string): string => Buffer.from(text).toString('base64')
  return { [stateKey]: encoded(JSON.stringify(authorities)), [bundleKey]: encoded(bundleOf(authorities)) }
}

/** What the `data` of a Secret says; undefined where it is not what we write. */
export function fromSecretData(data: unknown): Authorities | undefined {
  const text = isRecord(data) ? data[stateKey] : undefined
  if (typeof text !== 'string') return undefined
  try {
    const state: unknown = JSON.parse(Buffer.from(text, 'base64').toString())
    if (!isRecord(state) || !isAuthority(state['signing'])) return undefined
    const { signing, next, old } = state
    if (next !== undefined && !isAuthority(next)) return undefined
    if (!Array.isArray(old) || !old.every(isRetired)) return undefined
    return { signing, ...(next === undefined ? {} : { next }), old }
  } catch {
    return undefined
  }
}

/** Also proves that they belong together: a key of another certificate would sign leaves that nobody trusts. */
function isAuthority(value: unknown): value is CertificateAuthority {
  if (!isRecord(value) || typeof value['cert'] !== 'string' || typeof value['key'] !== 'string') return false
  const ofKey = createPublicKey(createPrivateKey(value['key']))
  return new X509Certificate(value['cert']).publicKey.equals(ofKey)
}

function isRetired(value: unknown): value is Retired {
  if (!isRecord(value) || typeof value['cert'] !== 'string' || typeof value['untilMs'] !== 'number') return false
  return new X509Certificate(value['cert']).ca
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value)
