import { X509Certificate } from 'node:crypto'
import type { Kube, KubeObject } from '../kube.ts'
import { isStatus, KubeError } from '../kubeError.ts'
import { soon } from '../soon.ts'
import { watch } from '../watch.ts'
import type { Webhook } from '../webhook.ts'
import { advance, leafIsDue, nextMoment, type Leaf, type Lives, type Standing } from './advance.ts'
import { bundleOf, fromSecretData, toSecretData, type Authorities } from './authorities.ts'
import type { Certificate, CertificateUse } from './certificate.ts'
import { issueLeaf } from './issue.ts'
import { certificatesIn } from './trust.ts'

export interface AutomaticOptions extends CertificateUse {
  readonly kube: Kube
  readonly webhook: Webhook
  readonly namespace: string
  /** The Secret with the authorities; made where it is missing. */
  readonly secret: string
  /** Goes with the installation, and the Secret with it. */
  readonly owner: OwnerReference | undefined
  readonly hosts: readonly string[]
  readonly lives: Lives
  readonly now: () => number
}

export interface OwnerReference {
  readonly apiVersion: string
  readonly kind: string
  readonly name: string
  readonly uid: string
}

const label = 'app.kubernetes.io/managed-by'
const ours = 'outrider-injector'

/**
 * Certificates without anybody's help: authorities in one Secret that all replicas share, a leaf of its own for each, in memory. No leader: every
 * replica does what is due, a write counts only on top of what was read, and those that come second find it done.
 */
export function automaticCertificate(options: AutomaticOptions): Certificate {
  const { webhook, lives, now, hosts, use, say, repaired } = options
  const secrets = secretStore(options)
  let listed = false
  let copy: KubeObject | undefined
  let remembered: Authorities | undefined
  let leaf: Leaf | undefined

  const standing = (): Standing => ({ now: now(), lives, trustedSince: webhook.trustedSince, leaf, remembered })

  /** From copies that may be old: whether there is something to decide. */
  const isQuiet = async (): Promise<boolean> => {
    const found = fromSecretData(copy?.['data'])
    return found !== undefined && (await advance(found, standing())) === found && !leafIsDue(found, standing())
  }

  const decide = async (): Promise<void> => {
    // The copy may change under our hands; what is written must stand on what was decided on.
    const read = await secrets.read()
    await webhook.refresh()
    const found = fromSecretData(read?.['data'])
    const wanted = await advance(found, standing())
    if (wanted === found) copy = read
    else {
      copy = await secrets.write(read, wanted)
      say('info', `certificate authorities: ${toldOf(found, wanted)}`)
    }
    remembered = wanted
    if (leafIsDue(wanted, standing())) {
      leaf = await signed(wanted)
      use(leaf)
      say('info', `serving with a new certificate until ${new Date(leaf.untilMs).toISOString()}`)
    }
  }

  const signed = async ({ signing }: Authorities): Promise<Leaf> => {
    const fromMs = now()
    const pair = await issueLeaf(signing, hosts, { now: fromMs, lifeMs: lives.leafMs })
    return { ...pair, authority: signing.cert, fromMs, untilMs: new X509Certificate(pair.cert).validToDate.getTime() }
  }

  const looking = soon({
    run: async () => {
      if (!listed) return lives.overlapMs
      if (!(await isQuiet())) await decide()
      const authorities = fromSecretData(copy?.['data'])
      if (authorities === undefined) throw new KubeError('the Secret with the certificate authorities is gone again')
      remembered = authorities
      const entries = await webhook.repair({ bundle: bundleOf(authorities), strangersMs: lives.overlapMs })
      if (entries > 0) repaired(entries)
      return Math.min(lives.overlapMs, nextMoment(authorities, standing()) - now())
    },
    failed: (err) => {
      // Somebody was faster; what they wrote is on its way to us.
      if (isStatus(err, 409)) return
      say('error', `the certificate cannot be kept in order: ${(err as Error).message}`)
    },
  })

  const watching = watch({
    ...secrets.place,
    changed: (objects) => {
      copy = objects.get(options.secret)
      listed = true
      looking.now()
    },
    troubled: (message) => {
      say('warn', message)
    },
  })

  return {
    chain: () => (leaf === undefined ? [] : certificatesIn(leaf.cert)),
    expiries: () => ({
      ...(remembered === undefined ? {} : { authority: new X509Certificate(remembered.signing.cert).validToDate.getTime() }),
      ...(leaf === undefined ? {} : { leaf: leaf.untilMs }),
    }),
    ageSeconds: watching.ageSeconds,
    look: looking.now,
    close: () => {
      watching.close()
      looking.close()
    },
  }
}

function secretStore({ kube, namespace, secret: name, owner }: AutomaticOptions) {
  const path = `/api/v1/namespaces/${namespace}/secrets`
  return {
    place: { kube, path, query: { fieldSelector: `metadata.name=${name}` } },
    read: async (): Promise<KubeObject | undefined> => {
      try {
        return (await kube.ask({ path: `${path}/${name}` })) as KubeObject
      } catch (err) {
        if (isStatus(err, 404)) return undefined
        throw err
      }
    },
    write: async (before: KubeObject | undefined, authorities: Authorities): Promise<KubeObject> => {
      const data = toSecretData(authorities)
      if (before === undefined) {
        const metadata = { name, namespace, labels: { [label]: ours }, ...(owner === undefined ? {} : { ownerReferences: [owner] }) }
        return (await kube.ask({
          method: 'POST',
          path,
          body: { apiVersion: 'v1', kind: 'Secret', type: 'Opaque', metadata, data },
        })) as KubeObject
      }
      if (before.metadata.labels?.[label] !== ours) {
        throw new KubeError(
          `there is a Secret ${namespace}/${name} without the label ${label}: ${ours}, so it is not ours to write; remove it or rename one of the two`,
        )
      }
      // With the resource version that it was read with: whoever was faster wins.
      return (await kube.ask({ method: 'PUT', path: `${path}/${name}`, body: { ...before, data } })) as KubeObject
    },
  }
}

function toldOf(before: Authorities | undefined, after: Authorities): string {
  if (before === undefined) return 'made anew, for the Secret was missing or unreadable'
  if (before.signing.cert !== after.signing.cert) return 'the next one signs from now on'
  if (before.next?.cert !== after.next?.cert) return 'the next one is made, and will sign when all trust it'
  return after.old.length > before.old.length ? 'one that is still in use is kept' : 'an old one is dropped'
}
