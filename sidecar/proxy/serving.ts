import { hash } from 'node:crypto'
import type { Config, Upstream } from '../config/config.ts'
import { modelMatcher } from '../config/modelPattern.ts'
import { accessLog } from '../observe/accessLog.ts'
import { costs } from '../observe/cost.ts'
import type { Log } from '../observe/log.ts'
import type { Metrics } from '../observe/metrics.ts'
import { status as openStatus, type Status, type StatusSources } from '../observe/status.ts'
import type { Canaries } from './canary/canaries.ts'
import type { Clock } from './clock.ts'
import { openClients, type Clients } from './clients.ts'
import { openCredential, type Credential } from './credentials.ts'
import type { Kept, Lease } from './kept.ts'
import type { Admission } from './layers/admit.ts'
import type { Held } from './layers/read.ts'
import type { Unrepeated } from './unrepeated.ts'
import { pipeline, type Surroundings, type Ways } from './pipeline.ts'
import type { Way } from './serve/border.ts'
import type { TunnelOptions } from './serve/tunnel.ts'
import type { Budget } from './upstream/budget.ts'
import type { Candidate } from './upstream/candidate.ts'
import { healthNumbers } from './upstream/health/numbers.ts'
import type { PinBook, Pins } from './upstream/pins.ts'
import { stableOf, type Route } from './upstream/route.ts'
import { retryWaits } from './retryWaits.ts'
import { candidateFor, socketsOf } from './sockets.ts'
import { tellChange } from './tellChange.ts'
import { openPages } from './transcript.ts'
import type { Checker } from './upstream/check/checker.ts'
import { isChecked } from './upstream/check/isChecked.ts'
import { openTarget, type OpenTarget, type TargetOptions } from './upstream/target.ts'
import { listSources, openWays, pinsOf, routesOf, type Opened, type StrategyOf } from './upstreams.ts'

export type Say = (level: 'info' | 'warn' | 'error', message: string) => void

/** What goes on from one config to the next. */
export interface Lasting {
  /** When the process took up its work, on the clock. */
  readonly beganMs: number
  /** What messages call the config. */
  readonly configName: string
  readonly env: Readonly<Record<string, string | undefined>>
  readonly log: Log
  readonly clock: Clock
  readonly admission: Admission
  readonly held: Held
  readonly metrics: Pick<Metrics, 'observe' | 'checked' | 'changed' | 'resumed'>
  readonly newId: () => string
  readonly credentials: Kept<Credential>
  readonly clients: Kept<Clients>
  readonly targets: Kept<OpenTarget>
  readonly checkers: Kept<Checker>
  /** What repeats may cost, and how upstreams are weighed, over all configs. */
  readonly budgetFor: (config: Config) => Budget
  readonly strategyOf: StrategyOf
  readonly random: () => number
  /** The time of day. */
  readonly epochMs: () => number
  readonly canaries: Canaries
  readonly refused: (why: Unrepeated) => void
  readonly pinBook: PinBook
}

/** All that one config makes of a call. A call ends on the one it began with. */
export interface Serving extends Way {
  readonly config: Config
  /** In the order of the config. */
  readonly targets: readonly OpenTarget[]
  readonly candidates: readonly Candidate[]
  /** How WebSockets are carried, by what they ask for. */
  readonly sockets: (url: string) => TunnelOptions
  readonly status: Status
  readonly defect: Surroundings['defect']
  /** Lets go of what it holds; what the next config holds too goes on. */
  readonly release: () => void
}

/** Opens what a config asks for, or goes on with what an earlier one has opened in the same way. Leaves nothing behind when it fails. */
export async function openServing(config: Config, lasting: Lasting, say: Say): Promise<Serving> {
  const { clock, admission, held, newId } = lasting
  const leases: (() => void)[] = []
  const release = (): void => {
    for (const letGo of leases.splice(0).toReversed()) letGo()
  }
  const hold = <Item>({ item, release: letGo }: Lease<Item>): Item => {
    leases.push(letGo)
    return item
  }
  try {
    const { current: clients } = hold(await lasting.clients.take(keyOf(config.clients, config.clientsFile), () => openClients(config, say)))
    const opened: Opened[] = []
    for (const upstream of config.upstreams) {
      const keys: TargetOptions['keys'][number][] = []
      for (const name of upstream.credentials ?? [upstream.credential ?? '']) {
        const source = config.credentials[name]
        const openKey = () => openCredential({ name, source: source ?? {}, env: lasting.env, say })
        keys.push({ name, key: source === undefined ? undefined : hold(await lasting.credentials.take(keyOf(name, source), openKey)) })
      }
      const health = {
        upstream: upstream.name,
        numbers: healthNumbers(config, upstream),
        random: lasting.random,
        changed: tellChange(lasting),
      }
      const open = () => openTarget(upstream, config, { keys, health, clock, env: lasting.env, say })
      const key = targetKey(config, upstream)
      const target = hold(await lasting.targets.take(key, open))
      if (isChecked(upstream.check, config.upstreams.length)) {
        hold(await lasting.checkers.take(key, () => check(upstream, target, lasting)))
      }
      opened.push({ upstream, target })
    }
    const targets = opened.map(({ target }) => target)
    const told = reporting(config, lasting, targets)
    const status = openStatus({
      now: clock.now,
      beganMs: lasting.beganMs,
      calls: () => admission,
      upstreams: targets.map(statusSource),
      canaries: lasting.canaries.all,
    })
    const surroundings = { clock, admission, held, clients, status, ...told }
    const pins = pinsOf(config, lasting.pinBook)
    const ways = openWays(opened, config, { clock, pins })
    const candidates = [...ways.keys()]
    const { strategyOf, canaries, random } = lasting
    const routes = routesOf(config, candidates, { budget: lasting.budgetFor(config), strategyOf, canaries, random })
    const tunnels = new Map(
      candidates.map((candidate) => [candidate, socketsOf(config, candidate, targets, { ...surroundings, newId })] as const),
    )
    return {
      config,
      targets,
      candidates,
      handle: pipeline(config, surroundings, waysOf(config, { opened, routes, ways, pins }, lasting)),
      headerLines: config.limits.headers,
      clientBodyMs: config.timeouts.clientBody,
      sockets: (url) => tunnels.get(candidateFor(url, routes, clock.now())) as TunnelOptions,
      status,
      defect: told.defect,
      release,
    }
  } catch (err) {
    release()
    throw err
  }
}

/** A hash, so that no second copy of a key lies in memory. */
const keyOf = (...parts: readonly unknown[]): string => hash('sha256', JSON.stringify(parts.map((part) => part ?? null)))

/** Everything that `openTarget` reads: where any of it differs, the connections of before may not be used. */
function targetKey(config: Config, upstream: Upstream): string {
  const { pool, connect, write, upstreamIdle } = config.timeouts
  // What only choosing reads can change without losing what is known of the upstream.
  const { tier: _tier, weight: _weight, models: _models, modelNames: _names, continues: _continues, ...rest } = upstream
  const sources = (upstream.credentials ?? [upstream.credential ?? '']).map((name) => config.credentials[name])
  return keyOf(rest, sources, config.network, config.health, pool, connect, write, upstreamIdle)
}

function waysOf(
  config: Config,
  {
    opened,
    routes,
    ways,
    pins,
  }: { opened: readonly Opened[]; routes: readonly Route[]; ways: Ways['choose']['ways']; pins: Pins | undefined },
  { clock, random, epochMs, metrics, refused }: Lasting,
): Ways {
  const { retry, routing, streams, upstreams } = config
  const waits = retryWaits(config)
  const { overrides, priority, defaultModel, aliases = {} } = routing
  const mayModel = overrides?.models === undefined ? () => false : modelMatcher(overrides.models)
  return {
    canary: routes.some(({ split }) => split !== undefined),
    routing: {
      routes,
      defaultModel,
      aliases,
      priority: priority && { header: priority.header.toLowerCase(), models: priority.models },
      upstreams: upstreams.map(({ name }) => name),
      mayAskUpstream: (name) => overrides?.upstreams?.includes(name) ?? false,
      mayAskModel: mayModel,
      attempts: retry.attempts,
      attemptsIfRepeated: Math.min(retry.attemptsIfRepeated, retry.attempts),
      routeOf: (model) => stableOf(routes.find(({ serves }) => serves(model))),
    },
    retry: {
      ...waits,
      clock,
      random,
      refused,
    },
    resume: {
      ...waits,
      clock,
      random,
      heartbeatMs: streams.heartbeat,
      pages: openPages({ streamBytes: streams.resumeKept, totalBytes: streams.resumeMemory }),
      refused,
      resumed: metrics.resumed,
    },
    home: ways.size < 2 ? undefined : { clock, pins, candidates: [...ways.keys()] },
    choose: { ...waits, clock, ways, epochMs },
    lists: { sources: listSources(opened, config, routes), aliases },
  }
}

const statusSource = (target: OpenTarget): StatusSources['upstreams'][number] => ({
  name: target.name,
  condition: target.condition,
  checked: target.checked,
  connections: target.pool.stats,
  accounts: target.accounts,
})

/** Who asks is loaded only where somebody is to be asked. */
async function check({ check, connections, name }: Upstream, target: OpenTarget, { clock, random, metrics }: Lasting): Promise<Checker> {
  const { openChecker } = await import('./upstream/check/checker.ts')
  const counted = (well: boolean): void => metrics.checked(name, well)
  return openChecker({ target, check, connections, clock, random, counted })
}

/** What is told of calls, beside what clients are told. */
function reporting(config: Config, { log, metrics }: Lasting, targets: readonly OpenTarget[]): Pick<Surroundings, 'report' | 'defect'> {
  const { level, sample } = config.log
  const secrets = (): string[] => targets.flatMap((target) => target.secrets())
  const urls = new Map(targets.map(({ name, url }) => [name, url]))
  // A call that no upstream got is counted with the first.
  const anyUrl = targets[0]?.url ?? new URL('http://none.invalid')
  const logCall = accessLog({ write: log.write, level, sample, secrets, costOf: costs(config.models) })
  return {
    report: (call) => {
      metrics.observe(call, urls.get(call.facts.upstream) ?? anyUrl)
      logCall?.(call)
    },
    defect: (call, err) => {
      log.logger.error({ call: call.id, err: err.cause ?? err }, 'a defect of Outrider')
    },
  }
}
