import { randomBytes } from 'node:crypto'
import type { Config } from '../../config/config.ts'
import type { Candidate } from '../upstream/candidate.ts'
import type { Kept } from './stateFile.ts'
import { trial, type Change, type Terms, type Trial } from './trial.ts'
import { upstreamWeights, type UpstreamWeights } from './upstreamWeights.ts'

type Canary = NonNullable<NonNullable<Config['routes']>[number]['canary']>

/** All canaries of the process, over all configs, and what else of weights is set at run time. */
export interface Canaries {
  /** Tells the versions of one history from those of another. */
  readonly mark: () => string
  readonly of: (route: string) => Trial | undefined
  /** The one of a route, for a config that may be refused yet: what it says of the canary counts from `adopt` on. */
  readonly open: (route: string, canary: Canary) => Trial
  /** The config is in use now. */
  readonly adopt: (config: Config, candidates: readonly Candidate[]) => void
  readonly upstreams: Pick<UpstreamWeights, 'kept' | 'of' | 'set'>
  readonly all: () => readonly Trial[]
  /** Resolves when what has changed is written, and whether it is: false also where nothing is to be written. */
  readonly saved: () => Promise<boolean>
}

export interface CanariesOptions {
  readonly now: () => number
  readonly say: (level: 'info' | 'warn' | 'error', message: string) => void
  /** Hears of each change. */
  readonly changed: (change: Change) => void
}

/** Reads what an earlier process has left, where the config says where. */
export async function openCanaries(first: Config, { now, say, changed }: CanariesOptions): Promise<Canaries> {
  let { stateFile } = first.control
  const left = stateFile === undefined ? undefined : await leftBehind(stateFile, say)
  const mark = left?.mark ?? randomBytes(4).toString('hex')
  const before = new Map(Object.entries(left?.routes ?? {}))
  const trials = new Map<string, Trial>()
  /** Those that no config in use has had yet. */
  const opened = new Map<string, Trial>()
  let writing: Promise<boolean> = Promise.resolve(false)

  const save = (): void => {
    const file = stateFile
    if (file === undefined) {
      writing = Promise.resolve(false)
      return
    }
    // One after the other, so that the last one stays; each writes what is so by then.
    writing = writing.then(async () => {
      const routes = Object.fromEntries([...trials].map(([route, one]) => [route, one.setting()]))
      const { writeState } = await import('./stateFile.ts')
      return writeState(file, { mark, routes, upstreams: upstreams.kept() }).then(
        () => true,
        (err: unknown) => {
          say('error', `weights are not kept for the next start: ${(err as Error).message}`)
          return false
        },
      )
    })
  }

  const upstreams = upstreamWeights(left?.upstreams, { say, changed: save })

  const open: Canaries['open'] = (route, canary) => {
    const known = trials.get(route) ?? opened.get(route)
    if (known !== undefined) return known
    const note = (change: Change): void => {
      changed(change)
      save()
    }
    const made = trial({ route, now, saved: before.get(route), changed: note }, termsOf(canary))
    opened.set(route, made)
    return made
  }

  return {
    mark: () => mark,
    of: (route) => trials.get(route),
    open,
    upstreams,
    adopt: (config, candidates) => {
      const { control, routes = [] } = config
      ;({ stateFile } = control)
      upstreams.adopt(config, candidates)
      const wanted = new Map(routes.flatMap(({ name, canary }) => (canary === undefined ? [] : [[name, canary] as const])))
      for (const route of trials.keys()) if (!wanted.has(route)) trials.delete(route)
      for (const [route, canary] of wanted) {
        const one = open(route, canary)
        trials.set(route, one)
        one.adopt(termsOf(canary))
        const { weight, state } = one.setting()
        if (opened.has(route) && weight !== canary.weight) {
          say('info', `the canary of route ${route} has the weight ${weight} (${state}), as it was left; the config says ${canary.weight}`)
        }
      }
      opened.clear()
      // What comes back later is new.
      before.clear()
    },
    all: () => [...trials.values()],
    saved: () => writing,
  }
}

async function leftBehind(file: string, say: CanariesOptions['say']): Promise<Kept | undefined> {
  const { readState } = await import('./stateFile.ts')
  return readState(file).catch((err: unknown) => {
    say('error', `weights that were set at run time are lost, those of the config count: ${(err as Error).message}`)
    return undefined
  })
}

function termsOf({ upstreams, model, weight, failoverThreshold, margin, minimumCalls, window, refusals }: Canary): Terms {
  const identity = JSON.stringify({ weight, upstreams: upstreams?.toSorted(), model })
  return { weight, identity, failoverThreshold, margin, minimumCalls, windowMs: window, refusals }
}
