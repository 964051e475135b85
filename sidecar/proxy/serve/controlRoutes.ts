import type { IncomingMessage } from 'node:http'
import type { Config } from '../../config/config.ts'
import type { Canaries } from '../canary/canaries.ts'
import { sideNames, verdicts, type SideName, type Trial, type TrialState } from '../canary/trial.ts'
import { wantedWeight } from './wantedWeight.ts'

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

type Route = NonNullable<Config['routes']>[number]

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
  const routes = (): readonly Route[] => config().routes ?? []
  const etagOf = (trial: Trial): string => `"${canaries.mark()}-${trial.setting().version}"`
  const all = (): Said => ({ status: 200, json: { routes: routes().map((route) => view(route, canaries.of(route.name))) } })
  const one = (route: Route): Said => {
    const trial = canaries.of(route.name)
    return { status: 200, ...(trial !== undefined && { headers: { etag: etagOf(trial) } }), json: view(route, trial) }
  }
  const weights = (trial: Trial, status = 200, more: object = {}): Said => ({
    status,
    headers: { etag: etagOf(trial) },
    json: { ...more, ...weightsOf(trial) },
  })

  const found = (name: string): { route: Route; trial: Trial | undefined } | Said => {
    const route = routes().find((each) => each.name === name)
    if (route !== undefined) return { route, trial: canaries.of(name) }
    const names = routes().map((each) => each.name)
    return refused(404, names.length === 0 ? 'The config has no routes.' : `There is no such route. There are: ${names.join(', ')}.`)
  }
  const withoutCanary = (route: Route): Said =>
    refused(404, `The route ${route.name} has no canary: routes[].canary in the config makes one.`)

  const changed = async (trial: Trial, apply: () => void): Promise<Said> => {
    apply()
    // Read before anything is waited for: the next change may come meanwhile.
    const said = weights(trial)
    const persisted = await canaries.saved()
    return { ...said, json: { ...(said.json as object), persisted } }
  }

  const put = async (trial: Trial, req: IncomingMessage): Promise<Said> => {
    const text = await bodyOf(req)
    if (text === undefined) return refused(413, `The body is larger than ${mostBytes} bytes.`)
    // Together with the change, without waiting in between: of two who know the same version, one is told.
    const condition = req.headers['if-match']
    if (condition === undefined) {
      return weights(trial, 428, {
        error: 'Say which weights you have seen, as "if-match: ETAG" of the GET, so that no change of others is lost.',
      })
    }
    if (!matches(condition, etagOf(trial)))
      return weights(trial, 412, { error: 'The weights have changed since: here is what they are now.' })
    const wanted = wantedWeight(text)
    if ('error' in wanted) return refused(400, wanted.error)
    return changed(trial, () => {
      trial.setWeight(wanted.weight, wanted.why)
    })
  }

  const command = (trial: Trial, name: string, req: IncomingMessage): Promise<Said> | Said => {
    const condition = req.headers['if-match']
    if (condition !== undefined && !matches(condition, etagOf(trial))) {
      return weights(trial, 412, { error: 'The weights have changed since: here is what they are now.' })
    }
    const { state } = trial.setting()
    // From a canary that has failed to all calls is a step that nobody takes on purpose without one in between.
    if (name === 'promote' && state === 'rolled_back')
      return weights(trial, 409, { error: 'The canary is rolled back: set a weight, or reset it, before it is promoted.' })
    const isDone = state === outcomeOf[name]
    return changed(trial, () => {
      if (!isDone) commands[name]?.(trial)
    })
  }

  return {
    read: (path) => {
      if (path === '/control/routes' || path === '/control/routes/') return all()
      const [, name, rest] = /^\/control\/routes\/([^/]+)(?:\/(weights))?$/.exec(path) ?? []
      if (name === undefined) return undefined
      const at = found(name)
      if ('status' in at) return at
      if (rest === undefined) return one(at.route)
      return at.trial === undefined ? withoutCanary(at.route) : weights(at.trial)
    },
    change: async (path, req) => {
      const [, name, what = ''] = /^\/control\/routes\/([^/]+)\/([a-z]+)$/.exec(path) ?? []
      const isWeights = what === 'weights' && req.method === 'PUT'
      const isCommand = Object.hasOwn(commands, what) && req.method === 'POST'
      if (name === undefined || !(isWeights || isCommand)) return undefined
      const at = found(name)
      if ('status' in at) return at
      if (at.trial === undefined) return withoutCanary(at.route)
      return isWeights ? put(at.trial, req) : command(at.trial, what, req)
    },
  }
}

const refused = (status: number, error: string): Said => ({ status, json: { error } })

const matches = (condition: string, etag: string): boolean =>
  condition.trim() === '*' || condition.split(',').some((each) => each.trim() === etag)

function weightsOf(trial: Trial): object {
  const { weight, version, state, why, sinceMs } = trial.setting()
  const weights = { stable: rounded(100 - weight), canary: weight }
  return { route: trial.route, version, weights, state, why, since: new Date(sinceMs).toISOString() }
}

function view({ name, models, upstreams, canary }: Route, trial: Trial | undefined): object {
  if (canary === undefined || trial === undefined) return { name, models, upstreams: upstreams ?? null, canary: null }
  const { rollbacks } = trial.setting()
  const { failoverThreshold, margin, minimumCalls, window } = canary
  const { route: _name, ...weights } = weightsOf(trial) as { route: string }
  return {
    name,
    models,
    upstreams: upstreams ?? null,
    canary: {
      ...weights,
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
