import type { Events } from './events.ts'
import type { Kube, KubeObject } from './kube.ts'
import { parseProfile, type Profile } from './profile.ts'
import { watch } from './watch.ts'

export interface Profiles {
  readonly current: () => ReadonlyMap<string, Profile>
  /** False until the first look. */
  readonly known: () => boolean
  /** How many ConfigMaps hold a profile that is not in use. */
  readonly refused: () => number
  readonly ageSeconds: () => number
  readonly close: () => void
}

export interface ProfilesOptions {
  readonly kube: Kube
  readonly namespace: string
  readonly events: Pick<Events, 'warn'>
  readonly say: (level: 'info' | 'warn' | 'error', message: string) => void
}

const label = 'outrider.dev/profile'
const key = 'profile.yaml'

/** What became of one version of one ConfigMap. */
interface Read {
  readonly version: string
  readonly profile: Profile | undefined
}

/** The profiles of the release namespace, each in a ConfigMap. A bad one is refused as a whole, and the last good one of that name stays. */
export function openProfiles({ kube, namespace, events, say }: ProfilesOptions): Profiles {
  let profiles: ReadonlyMap<string, Profile> = new Map()
  let known = false
  let refusals = 0
  let reads = new Map<string, Read>()
  let turn: Promise<void> = Promise.resolve()

  const refuse = (object: KubeObject, message: string): undefined => {
    const { name, uid = '' } = object.metadata
    say('error', `ConfigMap ${namespace}/${name}: ${message}`)
    events.warn({ namespace, owner: { apiVersion: 'v1', kind: 'ConfigMap', name, uid } }, 'ProfileRefused', message)
    return undefined
  }

  const parsed = async (name: string, object: KubeObject): Promise<Profile | undefined> => {
    const text = (object['data'] as Record<string, unknown> | undefined)?.[key]
    if (typeof text !== 'string') return refuse(object, `it has no key ${key}, so there is no profile in it`)
    try {
      const { profile, warnings } = await parseProfile(name, text, `ConfigMap ${object.metadata.name}`)
      for (const warning of warnings) say('warn', warning)
      say('info', `profile ${name} is in use, as ConfigMap ${object.metadata.name} has it (${profile.hash})`)
      return profile
    } catch (err) {
      return refuse(object, `the profile ${name} is refused, and the one from before stays: ${(err as Error).message}`)
    }
  }

  const readOnce = async (name: string, object: KubeObject): Promise<Read> => {
    const { uid, resourceVersion } = object.metadata
    const version = `${name} ${uid} ${resourceVersion}`
    const before = reads.get(object.metadata.name)
    return before?.version === version ? before : { version, profile: await parsed(name, object) }
  }

  const take = async (objects: readonly KubeObject[]): Promise<void> => {
    const next = new Map<string, Profile>()
    const nextReads = new Map<string, Read>()
    let bad = 0
    for (const [name, [first, ...others]] of byName(objects)) {
      if (first === undefined) continue
      const read = await readOnce(name, first)
      nextReads.set(first.metadata.name, read)
      if (read.profile === undefined) bad++
      const profile = read.profile ?? profiles.get(name)
      if (profile !== undefined) next.set(name, profile)
      for (const other of others) {
        bad++
        const version = `${other.metadata.uid} second`
        if (reads.get(other.metadata.name)?.version !== version) {
          refuse(other, `ConfigMap ${first.metadata.name} is older and has the profile ${name} as well, so this one does nothing`)
        }
        nextReads.set(other.metadata.name, { version, profile: undefined })
      }
    }
    profiles = next
    reads = nextReads
    refusals = bad
    known = true
  }

  const watching = watch({
    kube,
    path: `/api/v1/namespaces/${namespace}/configmaps`,
    query: { labelSelector: label },
    changed: (objects) => {
      const now = [...objects.values()]
      turn = turn.then(() => take(now))
    },
    troubled: (message) => {
      say('warn', message)
    },
  })
  return {
    current: () => profiles,
    known: () => known,
    refused: () => refusals,
    ageSeconds: watching.ageSeconds,
    close: watching.close,
  }
}

/** Of several with one name the oldest counts: whoever comes second must not change what runs. */
function byName(objects: readonly KubeObject[]): Map<string, KubeObject[]> {
  const age = ({ metadata: { creationTimestamp = '', name } }: KubeObject): string => `${creationTimestamp} ${name}`
  return Map.groupBy(
    objects.toSorted((a, b) => (age(a) < age(b) ? -1 : 1)),
    ({ metadata }) => metadata.labels?.[label] ?? '',
  )
}
