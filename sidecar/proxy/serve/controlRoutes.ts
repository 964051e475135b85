import type { IncomingMessage } from 'node:http'
import type { Config } from '../../config/config.ts'
import type { Canaries } from '../canary/canaries.ts'
import { sideNames, verdicts, type SideName, type Trial, type TrialState } from '../canary/trial.ts'
import { wantedWeight, wantedWeights } from './wantedWeight.ts'

export interface Said {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly json: unknown
}

/** The routes of the process, and what of them can be changed at run time. */
export interface ControlRoutes {
  /** Undefined where there is nothing at this path. */
  readonly read: (path: string) => Said | undefined
  /** Undefined where nothing can be changed at this path in this way. Who asks has shown the token. */
  readonly change: (path: string, req: IncomingMessage) => Promise<Said | undefined>
}

export interface ControlRoutesOptions {
  readonly config: () => Config
  readonly canaries: Canaries
}

/** The one for all that no other is for is a route too. */
type Route = Pick<NonNullable<Config['routes']>[number], 'name' | 'models' | 'upstreams' | 'canary'>

const commands: Readonly<Record<string, (trial: Trial) => void>> = {
  promote: ({ promote }) => {
    promote('promoted by hand')
  },
  rollback: ({ rollBack }) => {
    rollBack('rolled back by hand')
  },
  reset: ({ reset }) => {
    reset('reset by hand to what the config says')
  },
}

/** Said twice, the first time counts, and its reason stays. */
const outcomeOf: Readonly<Record<string, TrialState>> = { promote: 'promoted', rollback: 'rolled_back' }

const mostBytes = 16 * 1024

export function controlRoutes({ config, canaries }: ControlRoutesOptions): ControlRoutes {
  const weightsAt = (route: Route): Weights => {
    const trial = canaries.of(route.name)
    return trial === undefined ? ofUpstreams(route, config(), canaries) : ofCanary(trial, canaries.mark())
  }
  const routes = (): readonly Route[] => {
    const { routes: own = [] } = config()
    return own.some(({ name }) => name === 'default') ? own : [...own, { name: 'default', models: ['*'] }]
  }
  const found = (name: string): Route | Said => {
    const names = routes().map((each) => each.name)
    return routes().find((each) => each.name === name) ?? refused(404, `There is no such route. There are: ${names.join(', ')}.`)
  }
  const viewAt = (route: Route): object => view(route, canaries.of(route.name), weightsAt(route))

  const changed = async (weights: Weights, apply: () => void): Promise<Said> => {
    apply()
    // Read before anything is waited for: the next change may come meanwhile.
    const said = told(weights)
    const persisted = await canaries.saved()
    return { ...said, json: { ...(said.json as object), persisted } }
  }

  const put = async (weights: Weights, req: IncomingMessage): Promise<Said> => {
    const text = await bodyOf(req)
    if (text === undefined) return refused(413, `The body is larger than ${mostBytes} bytes.`)
    // Together with the change, without waiting in between: of two who know the same version, one is told.
    const condition = req.headers['if-match']
    if (condition === undefined) return told(weights, 428, unseen)
    if (!matches(condition, weights.etag())) return told(weights, 412, outdated)
    const wanted = weights.wanted(text)
    return 'error' in wanted ? refused(400, wanted.error) : changed(weights, wanted.apply)
  }

  const command = (trial: Trial, name: string, req: IncomingMessage): Promise<Said> | Said => {
    const weights = ofCanary(trial, canaries.mark())
    const condition = req.headers['if-match']
    if (condition !== undefined && !matches(condition, weights.etag())) return told(weights, 412, outdated)
    const { state } = trial.setting()
    // From a canary that has failed to all calls is a step that nobody takes on purpose without one in between.
    if (name === 'promote' && state === 'rolled_back')
      return told(weights, 409, 'The canary is rolled back: set a weight, or reset it, before it is promoted.')
    const isDone = state === outcomeOf[name]
    return changed(weights, () => {
      if (!isDone) commands[name]?.(trial)
    })
  }

  return {
    read: (path) => {
      if (path === '/control/routes' || path === '/control/routes/') return { status: 200, json: { routes: routes().map(viewAt) } }
      const [, name, rest] = /^\/control\/routes\/([^/]+)(?:\/(weights))?$/.exec(path) ?? []
      if (name === undefined) return undefined
      const route = found(name)
      if ('status' in route) return route
      const weights = weightsAt(route)
      return rest === undefined ? { status: 200, headers: { etag: weights.etag() }, json: viewAt(route) } : told(weights)
    },
    change: async (path, req) => {
      const [, name, what = ''] = /^\/control\/routes\/([^/]+)\/([a-z]+)$/.exec(path) ?? []
      const isWeights = what === 'weights' && req.method === 'PUT'
      const isCommand = Object.hasOwn(commands, what) && req.method === 'POST'
      if (name === undefined || !(isWeights || isCommand)) return undefined
      const route = found(name)
      if ('status' in route) return route
      if (isWeights) return put(weightsAt(route), req)
      const trial = canaries.of(route.name)
      if (trial === undefined) return refused(404, `The route ${route.name} has no canary: routes[].canary in the config makes one.`)
      return command(trial, what, req)
    },
  }
}

const unseen = 'Say which weights you have seen, as "if-match: ETAG" of the GET, so that no change of others is lost.'
const outdated = 'The weights have changed since: here is what they are now.'

/** The weights of a route, in whatever kind they are. */
interface Weights {
  readonly etag: () => string
  readonly document: () => object
  readonly wanted: (text: string) => { readonly apply: () => void } | { readonly error: string }
}

const told = (weights: Weights, status = 200, error?: string): Said => ({
  status,
  headers: { etag: weights.etag() },
  json: { ...(error !== undefined && { error }), ...weights.document() },
})

/** Of a route with a canary: how its calls are shared between the two sides. */
const ofCanary = (trial: Trial, mark: string): Weights => ({
  etag: () => `"${mark}-${trial.setting().version}"`,
  document: () => ({ route: trial.route, ...settingOf(trial) }),
  wanted: (text) => {
    const wanted = wantedWeight(text)
    if ('error' in wanted) return wanted
    return {
      apply: () => {
        trial.setWeight(wanted.weight, wanted.why)
      },
    }
  },
})

/** Of another route: those of its upstreams, which are the same in all routes that share them. */
function ofUpstreams({ name, upstreams }: Route, { upstreams: all }: Config, { mark, upstreams: kept }: Canaries): Weights {
  const names = upstreams ?? all.map((one) => one.name)
  return {
    etag: () => `"${mark()}-upstreams-${kept.kept().version}"`,
    document: () => ({ route: name, version: kept.kept().version, weights: kept.of(names) }),
    wanted: (text) => {
      const wanted = wantedWeights(text, kept.of(names))
      if ('error' in wanted) return wanted
      return {
        apply: () => {
          kept.set(wanted.weights, wanted.why)
        },
      }
    },
  }
}

const refused = (status: number, error: string): Said => ({ status, json: { error } })

const matches = (condition: string, etag: string): boolean =>
  condition.trim() === '*' || condition.split(',').some((each) => each.trim() === etag)

function settingOf(trial: Trial): object {
  const { weight, version, state, why, sinceMs } = trial.setting()
  const weights = { stable: rounded(100 - weight), canary: weight }
  return { version, weights, state, why, since: new Date(sinceMs).toISOString() }
}

function view({ name, models, upstreams: named, canary }: Route, trial: Trial | undefined, weights: Weights): object {
  const upstreams = named ?? null
  if (canary === undefined || trial === undefined) return { name, models, upstreams, canary: null, ...weights.document() }
  const { rollbacks } = trial.setting()
  const { failoverThreshold, margin, minimumCalls, window } = canary
  return {
    name,
    models,
    upstreams,
    canary: {
      ...settingOf(trial),
      configured_weight: canary.weight,
      upstreams: canary.upstreams ?? null,
      model: canary.model ?? null,
      rollbacks,
      rule: { failover_threshold: failoverThreshold, margin, minimum_calls: minimumCalls, window_seconds: window / 1_000 },
      in_window: bySide((side) => {
        const { calls, failed, refused: no, errorRate } = trial.rate(side)
        return { calls, failed, refused: no, error_rate: errorRate ?? null }
      }),
      since_start: bySide((side) => Object.fromEntries(verdicts.map((verdict) => [verdict, trial.total(side, verdict)]))),
    },
  }
}

const bySide = (tell: (side: SideName) => unknown): object => Object.fromEntries(sideNames.map((side) => [side, tell(side)]))
/** 100 - 0.1 is not 99.9 to a computer. */
const rounded = (weight: number): number => Number(weight.toFixed(6))

/** Undefined where it is too large. */
async function bodyOf(req: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of req as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > mostBytes) return undefined
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}
