import { X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'

const pemPattern = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g

/** The certificates of a PEM text. What is no certificate is passed over, as API servers do. */
export function certificatesIn(text: string): X509Certificate[] {
  return (text.match(pemPattern) ?? []).flatMap((pem) => {
    try {
      return [new X509Certificate(pem)]
    } catch {
      return []
    }
  })
}

export interface Shown {
  /** The certificate of the server, and after it those that lead to a root. */
  readonly chain: readonly X509Certificate[]
  readonly host: string
  readonly now: number
}

/** Why a client that trusts these roots would turn the server away; undefined where it would not. */
export function distrust({ chain, host, now }: Shown, roots: readonly X509Certificate[]): string | undefined {
  const [leaf] = chain
  if (leaf === undefined) return 'there is no certificate'
  if (!isFor(leaf, host)) return `the certificate is not for ${host}`
  if (!isCurrent(leaf, now)) return `the certificate is valid from ${leaf.validFrom} to ${leaf.validTo}`
  let at = leaf
  // Each step takes one further certificate, so a circle ends as well.
  for (let step = 0; step <= chain.length; step++) {
    const last = at
    if (roots.some((root) => root.raw.equals(last.raw) || (isCurrent(root, now) && isIssuer(root, last)))) return undefined
    const above = chain.find((one) => one.ca && !one.raw.equals(last.raw) && isCurrent(one, now) && isIssuer(one, last))
    if (above === undefined) break
    at = above
  }
  return roots.length === 0 ? 'its caBundle is empty' : 'its caBundle has none that signed the certificate'
}

const isFor = (leaf: X509Certificate, host: string): boolean =>
  isIP(host) === 0 ? leaf.checkHost(host, { subject: 'never' }) !== undefined : leaf.checkIP(host) !== undefined

export const isCurrent = (cert: X509Certificate, now: number): boolean =>
  cert.validFromDate.getTime() <= now && now < cert.validToDate.getTime()

const isIssuer = (issuer: X509Certificate, cert: X509Certificate): boolean => cert.checkIssued(issuer) && cert.verify(issuer.publicKey)
