import type { Config } from '../../config/config.ts'
import type { Candidate } from '../upstream/candidate.ts'

/** A weight that was set at run time, and what the config said then. */
export interface SetWeight {
  readonly configured: number
  readonly weight: number
}

export interface KeptWeights {
  /** Grows with each change. */
  readonly version: number
  readonly weights: Readonly<Record<string, SetWeight>>
}

/** The weights of upstreams, which are the same in all routes that share them. */
export interface UpstreamWeights {
  readonly kept: () => KeptWeights
  /** Of these upstreams, as they are now. */
  readonly of: (names: readonly string[]) => Readonly<Record<string, number>>
  readonly set: (weights: Readonly<Record<string, number>>, why: string) => void
  /** Takes up another config: what was set stays, but for the upstreams whose weight it changes. */
  readonly adopt: (config: Config, candidates: readonly Candidate[]) => void
}

interface Around {
  readonly say: (level: 'info', message: string) => void
  readonly changed: () => void
}

export function upstreamWeights(saved: KeptWeights | undefined, { say, changed }: Around): UpstreamWeights {
  let version = saved?.version ?? 1
  const set = new Map(Object.entries(saved?.weights ?? {}))
  let configured: ReadonlyMap<string, number> = new Map()
  let current: readonly Candidate[] = []
  const weightOf = (name: string): number => set.get(name)?.weight ?? configured.get(name) ?? 0
  const apply = (): void => {
    for (const candidate of current) candidate.weight = weightOf(candidate.upstream)
  }
  return {
    kept: () => ({ version, weights: Object.fromEntries(set) }),
    of: (names) => Object.fromEntries(names.map((name) => [name, weightOf(name)])),
    set: (weights, why) => {
      const news = Object.entries(weights).map(([name, weight]) => `${name} ${weightOf(name)} → ${weight}`)
      for (const [name, weight] of Object.entries(weights)) set.set(name, { configured: configured.get(name) ?? 0, weight })
      version++
      apply()
      say('info', `weights of upstreams: ${news.join(', ')} (${why})`)
      changed()
    },
    adopt: ({ upstreams }, candidates) => {
      const next = new Map(upstreams.map(({ name, weight }) => [name, weight]))
      // At a start nobody has seen any yet.
      let isOther =
        configured.size > 0 && (next.size !== configured.size || [...next].some(([name, weight]) => configured.get(name) !== weight))
      for (const [name, one] of set) {
        if (next.get(name) === one.configured) continue
        set.delete(name)
        isOther = true
      }
      configured = next
      current = candidates
      apply()
      if (!isOther) return
      version++
      changed()
    },
  }
}
