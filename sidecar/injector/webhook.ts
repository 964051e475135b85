import type { X509Certificate } from 'node:crypto'
import { certificatesIn, distrust, isCurrent } from './certificate/trust.ts'
import type { Kube, KubeObject } from './kube.ts'
import { isStatus, KubeError } from './kubeError.ts'
import { watch, type Watching } from './watch.ts'

/** One entry of the webhook configuration as the API server has it now. */
export interface Entry {
  readonly index: number
  readonly name: string
  /** What the API server expects in our certificate. */
  readonly host: string
  /** As it stands there, PEM. */
  readonly bundle: string
  readonly roots: readonly X509Certificate[]
}

/** What the entries should trust. */
export interface Wanted {
  /** PEM. */
  readonly bundle: string
  /** How long others are left in it: they may be of a replica that has not said so yet. */
  readonly strangersMs: number
}

export interface Webhook {
  /** Undefined while the object is not there or not known. */
  readonly entries: () => readonly Entry[] | undefined
  /** Since when every entry has had this certificate. */
  readonly trustedSince: (cert: string) => number | undefined
  /** Why a certificate would be turned away by some entry; undefined where it would not. */
  readonly distrust: (chain: readonly X509Certificate[]) => string | undefined
  /** Writes what is missing, and takes out what has no place there; resolves with the number of entries that it wrote. */
  readonly repair: (wanted: Wanted) => Promise<number>
  /** Reads the object now, for a decision that must not rest on an old copy. */
  readonly refresh: () => Promise<void>
  readonly ageSeconds: () => number
  readonly close: () => void
}

export interface WebhookOptions {
  readonly kube: Kube
  readonly name: string
  readonly now: () => number
  readonly changed: () => void
  readonly troubled: (message: string) => void
}

/** More repairs than this within a minute are a fight, which nobody wins and API servers pay for. */
const mostRepairs = 20
const repairsMs = 60_000

const collection = '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations'

/** Our own MutatingWebhookConfiguration, followed and repaired. */
export function openWebhook({ kube, name, now, changed, troubled }: WebhookOptions): Webhook {
  let entries: readonly Entry[] | undefined
  let since = new Map<string, number>()
  let strangers = new Map<string, number>()
  let repairs: readonly number[] = []

  const take = (object: KubeObject | undefined): void => {
    entries = object === undefined ? undefined : entriesOf(object)
    since = agesOf(since, inAll(entries ?? []), now())
    strangers = agesOf(strangers, inAny(entries ?? []), now())
  }

  const watching: Watching = watch({
    kube,
    path: collection,
    query: { fieldSelector: `metadata.name=${name}` },
    changed: (objects) => {
      take(objects.get(name))
      changed()
    },
    troubled,
  })

  const bundleFor = ({ roots }: Entry, { bundle, strangersMs }: Wanted): string => {
    const known = new Set(certificatesIn(bundle).map(keyOf))
    const guests = roots.filter((root) => {
      const key = keyOf(root)
      return !known.has(key) && isCurrent(root, now()) && now() - (strangers.get(key) ?? now()) < strangersMs
    })
    return bundle + guests.map(String).join('')
  }

  return {
    entries: () => entries,
    trustedSince: (cert) => certificatesIn(cert).map((one) => since.get(keyOf(one)))[0],
    distrust: (chain) => {
      if (entries === undefined) return `there is no MutatingWebhookConfiguration ${name}`
      if (entries.length === 0) return `the MutatingWebhookConfiguration ${name} has no webhooks`
      for (const { name: entry, host, roots } of entries) {
        const why = distrust({ chain, host, now: now() }, roots)
        if (why !== undefined) return `the webhook ${entry} would not trust this replica: ${why}`
      }
      return undefined
    },
    repair: async (wanted) => {
      const wrong = (entries ?? []).flatMap((entry) => {
        const value = bundleFor(entry, wanted)
        return same(entry, value) ? [] : [{ ...entry, value }]
      })
      if (wrong.length === 0) return 0
      repairs = repairs.filter((ms) => now() - ms < repairsMs)
      if (repairs.length >= mostRepairs) {
        throw new KubeError(
          `somebody else writes the caBundle of ${name} again and again: one of the two must stop, by certificate mode or by an annotation such as cert-manager's`,
        )
      }
      repairs = [...repairs, now()]
      const body = wrong.flatMap(({ index, name: entry, value }) => [
        { op: 'test', path: `/webhooks/${index}/name`, value: entry },
        { op: 'add', path: `/webhooks/${index}/clientConfig/caBundle`, value: Buffer.from(value).toString('base64') },
      ])
      const query = { fieldManager: 'outrider-injector' }
      const call = { method: 'PATCH', path: `${collection}/${name}`, query, body, contentType: 'application/json-patch+json' } as const
      take((await kube.ask(call)) as KubeObject)
      return wrong.length
    },
    refresh: async () => {
      try {
        take((await kube.ask({ path: `${collection}/${name}` })) as KubeObject)
      } catch (err) {
        if (!isStatus(err, 404)) throw err
        take(undefined)
      }
    },
    ageSeconds: watching.ageSeconds,
    close: watching.close,
  }
}

/** The order of certificates means nothing, and neither does text between them. */
const same = ({ bundle, roots }: Entry, wanted: string): boolean => {
  const now = roots.map(keyOf).toSorted().join()
  const then = certificatesIn(wanted).map(keyOf).toSorted().join()
  return now === then && (bundle.match(/-----BEGIN/g) ?? []).length === roots.length
}

const keyOf = (cert: X509Certificate): string => cert.fingerprint256

/** Keeps the time of those that were there before. */
const agesOf = (before: ReadonlyMap<string, number>, keys: Iterable<string>, now: number): Map<string, number> =>
  new Map(Array.from(keys, (key) => [key, before.get(key) ?? now]))

const inAny = (entries: readonly Entry[]): Set<string> => new Set(entries.flatMap(({ roots }) => roots.map(keyOf)))

const inAll = (entries: readonly Entry[]): string[] =>
  [...inAny(entries)].filter((key) => entries.every(({ roots }) => roots.some((root) => keyOf(root) === key)))

function entriesOf(object: KubeObject): Entry[] {
  const webhooks = Array.isArray(object['webhooks']) ? (object['webhooks'] as WebhookEntry[]) : []
  return webhooks.map(({ name, clientConfig: { caBundle = '', service, url } }, index) => {
    const bundle = Buffer.from(caBundle, 'base64').toString()
    const host =
      service === undefined ? (URL.parse(url ?? '')?.hostname ?? '').replace(/^\[|\]$/g, '') : `${service.name}.${service.namespace}.svc`
    return { index, name, host, bundle, roots: certificatesIn(bundle) }
  })
}

interface WebhookEntry {
  readonly name: string
  readonly clientConfig: {
    readonly caBundle?: string
    readonly service?: { readonly name: string; readonly namespace: string }
    readonly url?: string
  }
}
