import { hash } from 'node:crypto'
import type { Config } from '../config/config.ts'
import { accessLog } from '../observe/accessLog.ts'
import type { Log } from '../observe/log.ts'
import type { Metrics } from '../observe/metrics.ts'
import { status as openStatus, type Status } from '../observe/status.ts'
import type { Clock } from './clock.ts'
import { openClients, type Clients } from './clients.ts'
import { openCredential, type Credential } from './credentials.ts'
import type { Kept, Lease } from './kept.ts'
import type { Admission } from './layers/admit.ts'
import type { Held } from './layers/read.ts'
import { pipeline, type Surroundings } from './pipeline.ts'
import type { Way } from './serve/border.ts'
import type { TunnelOptions } from './serve/tunnel.ts'
import { openTarget, type OpenTarget } from './upstream/target.ts'

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
  readonly metrics: Pick<Metrics, 'observe'>
  readonly newId: () => string
  readonly credentials: Kept<Credential>
  readonly clients: Kept<Clients>
  readonly targets: Kept<OpenTarget>
}

/** All that one config makes of a call. A call ends on the one it began with. */
export interface Serving extends Way {
  readonly config: Config
  readonly target: OpenTarget
  readonly sockets: TunnelOptions
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
    const [upstream] = config.upstreams
    if (upstream === undefined) throw new Error('a config without upstreams is refused before it comes here')
    const name = upstream.credential ?? ''
    const source = config.credentials[name]
    const openKey = () => openCredential({ name, source: source ?? {}, env: lasting.env, say })
    const key = source === undefined ? undefined : hold(await lasting.credentials.take(keyOf(name, source), openKey))
    const { current: clients } = hold(await lasting.clients.take(keyOf(config.clients, config.clientsFile), () => openClients(config, say)))
    // Everything that `openTarget` reads: where any of it differs, the connections of before may not be used.
    const { pool, connect, write, firstEvent, upstreamIdle } = config.timeouts
    const targetKey = keyOf(upstream, source, config.network, pool, connect, write, firstEvent, upstreamIdle)
    const target = hold(await lasting.targets.take(targetKey, () => openTarget(upstream, config, { key, clock, env: lasting.env, say })))
    const told = reporting(config, lasting, target.secrets)
    const status = openStatus({
      now: clock.now,
      beganMs: lasting.beganMs,
      calls: () => admission,
      upstreams: [{ name: target.name, condition: target.condition, connections: target.pool.stats, key }],
    })
    const surroundings = { clock, admission, held, clients, status, ...told }
    return {
      config,
      target,
      handle: pipeline(config, surroundings, target),
      headerLines: config.limits.headers,
      clientBodyMs: config.timeouts.clientBody,
      sockets: socketsOf(config, target, { ...surroundings, newId }),
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

function socketsOf({ limits, timeouts }: Config, target: OpenTarget, rest: Surroundings & { readonly newId: () => string }): TunnelOptions {
  return {
    ...rest,
    connector: target.plainConnector,
    upstream: { name: target.name, authority: target.url.host, base: target.base },
    scheme: target.scheme,
    key: target.key,
    limit: limits.inFlight,
    headerLines: limits.headers,
    // A model has nothing to think about before an upgrade.
    firstMs: timeouts.connect,
    idleMs: timeouts.webSocketIdle,
    totalMs: timeouts.streamTotal,
  }
}

/** What is told of calls, beside what clients are told. */
function reporting(
  config: Config,
  { log, metrics, clock }: Lasting,
  secrets: () => readonly string[],
): Pick<Surroundings, 'report' | 'defect'> {
  const { level, sample } = config.log
  const logCall = accessLog({ now: clock.now, write: log.write, level, sample, secrets })
  return {
    report: (call) => {
      metrics.observe(call)
      logCall?.(call)
    },
    defect: (call, err) => {
      log.logger.error({ call: call.id, err: err.cause ?? err }, 'a defect of Outrider')
    },
  }
}
