import './reflect.ts'
import { createPrivateKey, createPublicKey, randomBytes, webcrypto, X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509CertificateGenerator,
} from '@peculiar/x509'
import type { CertificateAuthority } from './authorities.ts'

/** A certificate with its private key, both PEM. */
export interface Pair {
  readonly cert: string
  readonly key: string
}

export interface Validity {
  readonly now: number
  readonly lifeMs: number
}

/** Clocks of API servers differ from ours: what is made now is good for those that are behind. */
export const backdateMs = 60 * 60_000

/** Every TLS stack has it, and it costs a tenth of RSA. */
const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const

/** A certificate authority for this webhook and nothing else. */
export async function makeAuthority({ now, lifeMs }: Validity): Promise<CertificateAuthority> {
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const serialNumber = serial()
  const cert = await X509CertificateGenerator.createSelfSigned(
    {
      serialNumber,
      // Of several with one name, a verifier would have to try the keys.
      name: `CN=outrider injector ${serialNumber.slice(0, 8)}`,
      ...period({ now, lifeMs }),
      signingAlgorithm: algorithm,
      keys,
      extensions: [
        // It signs leaves and no other authority.
        new BasicConstraintsExtension(true, 0, true),
        new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
        await SubjectKeyIdentifierExtension.create(keys.publicKey),
      ],
    },
    webcrypto,
  )
  return { cert: pem(cert.toString('pem')), key: await keyText(keys.privateKey) }
}

/** A serving certificate for these hosts, which does not outlive its authority. */
export async function issueLeaf(authority: CertificateAuthority, hosts: readonly string[], { now, lifeMs }: Validity): Promise<Pair> {
  const issuer = new X509Certificate(authority.cert)
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const notAfter = new Date(Math.min(now + lifeMs, issuer.validToDate.getTime()))
  const cert = await X509CertificateGenerator.create(
    {
      serialNumber: serial(),
      // Verifiers look at the alternative names alone; a service name may be longer than a common name can be.
      subject: 'CN=outrider injector',
      issuer: issuer.subject.replaceAll('\n', ', '),
      ...period({ now, lifeMs }),
      notAfter,
      signingAlgorithm: algorithm,
      publicKey: keys.publicKey,
      signingKey: await signingKey(authority),
      extensions: [
        new BasicConstraintsExtension(false, undefined, true),
        new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
        new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
        new SubjectAlternativeNameExtension(hosts.map((value) => ({ type: isIP(value) === 0 ? 'dns' : 'ip', value }))),
        await SubjectKeyIdentifierExtension.create(keys.publicKey),
        await AuthorityKeyIdentifierExtension.create(await publicKeyOf(authority)),
      ],
    },
    webcrypto,
  )
  return { cert: pem(cert.toString('pem')), key: await keyText(keys.privateKey) }
}

const period = ({ now, lifeMs }: Validity): { notBefore: Date; notAfter: Date } => ({
  notBefore: new Date(now - backdateMs),
  notAfter: new Date(now + lifeMs),
})

/** Twenty bytes at most, positive, and never the same again. */
const serial = (): string => `4${randomBytes(16).toString('hex').slice(1)}`

const pem = (text: string): string => `${text.trim()}\n`

async function keyText(key: webcrypto.CryptoKey): Promise<string> {
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', key))
  return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }).export({ format: 'pem', type: 'pkcs8' }).toString()
}

function signingKey({ key }: CertificateAuthority): Promise<webcrypto.CryptoKey> {
  const der = createPrivateKey(key).export({ format: 'der', type: 'pkcs8' })
  return webcrypto.subtle.importKey('pkcs8', der, algorithm, false, ['sign'])
}

function publicKeyOf({ key }: CertificateAuthority): Promise<webcrypto.CryptoKey> {
  const der = createPublicKey(key).export({ format: 'der', type: 'spki' })
  return webcrypto.subtle.importKey('spki', der, algorithm, true, ['verify'])
}
