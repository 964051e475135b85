import type { Config, Upstream } from '../../config/config.ts'
import type { Clock } from '../clock.ts'
import type { Scheme } from '../layers/credential.ts'
import type { Credential } from '../credentials.ts'
import type { Handler } from '../call.ts'
import type { Entry } from '../keptList.ts'
import type { Target } from '../pipeline.ts'
import { checked, type Checked } from './check/checked.ts'
import type { Condition } from './condition.ts'
import { connector, type Connector, type Place } from './connector.ts'
import { dispatch } from './dispatch.ts'
import { egressFor } from './egressFor.ts'
import { egressRules } from './egressRules.ts'
import { firstBytes } from './firstBytes.ts'
import { names } from './names.ts'
import { pool, type Pool } from './pool.ts'
import { openHost, openStanding, type StandingOptions } from './standing.ts'
import { named, openTrust } from './trust.ts'

export interface OpenTarget extends Target {
  readonly name: string
  readonly url: URL
  readonly base: { readonly path: string; readonly query: string }
  readonly pool: Pool
  /** How attempts at it have ended, whatever the account. */
  readonly condition: Condition
  /** What checks have told of it, whoever makes them. */
  readonly checked: Checked
  /** As `dispatch`, for paths that do not begin at its base. */
  readonly dispatchFromRoot: Handler
  /** The lists of models that it has given. */
  readonly lists: Map<string, Entry>
  /** For what must not become HTTP/2. */
  readonly plainConnector: Connector
  /** What no log may hold. */
  readonly secrets: () => readonly string[]
  readonly close: () => void
}

export interface TargetOptions {
  /** Of each credential that it is called with; one without a name where it needs none. */
  readonly keys: readonly { readonly name: string; readonly key: Credential | undefined }[]
  readonly health: StandingOptions
  readonly clock: Clock
  /** For the proxies that it names. */
  readonly env: Readonly<Record<string, string | undefined>>
  readonly say: (level: 'info' | 'error', message: string) => void
}

/** Everything that exists once per upstream. */
export function openTarget(
  upstream: Upstream,
  { network, timeouts }: Config,
  { keys, health, clock, env, say }: TargetOptions,
): OpenTarget {
  const url = new URL(upstream.url)
  const secure = url.protocol === 'https:'
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const common = named('network.ca', network.ca)
  const own = (which: 'ca' | 'cert' | 'key') => named(`upstreams.${upstream.name}.tls.${which}`, upstream.tls?.[which])
  const trust = openTrust({ cas: [common, own('ca')].filter((one) => one !== undefined), cert: own('cert'), key: own('key') }, say)
  const aliases = network.hostAliases ?? {}
  const through = egressFor(url, upstream.proxy, egressRules(network, env))
  // Of its own: the certificate that we show to the upstream is not for the proxy.
  const egressTrust = through?.secure === true ? openTrust({ cas: common === undefined ? [] : [common] }, say) : trust
  const known = names({ now: clock.now, cacheMs: network.dnsCache, aliases })
  const placeFor = (http2: boolean): Place => ({
    host,
    port: url.port === '' ? (secure ? 443 : 80) : Number(url.port),
    tls: secure ? { serverName: upstream.tls?.serverName ?? host, context: trust.context, http2 } : undefined,
    addresses: upstream.addresses,
    egress: through === undefined ? undefined : { ...through, context: egressTrust.context },
  })
  const dialler = (http2: boolean, forUndici: boolean): Connector =>
    connector({ place: placeFor(http2), names: known, clock, timeoutMs: timeouts.connect, forUndici })
  const connections = pool({
    origin: url.origin,
    connector: dialler(upstream.http2, true),
    clock,
    connections: upstream.connections,
    waitMs: timeouts.pool,
    idleMs: timeouts.upstreamIdle,
    // What an upstream may send as its header; a few proxies add a great deal to it.
    headerBytes: 64 * 1024,
  })
  // What goes wrong on the way to the host goes wrong for all accounts alike.
  const shared = openHost(health)
  const base = { path: url.pathname.replace(/\/$/, ''), query: url.search.slice(1) }
  const accounts = keys.map(({ name, key }) => ({
    credential: name,
    key,
    standing: openStanding(shared, name, () => shownBy(key), health),
  }))
  const way = { name: upstream.name, pool: connections, clock, writeMs: timeouts.write }
  return {
    name: upstream.name,
    url,
    base,
    pool: connections,
    lists: new Map(),
    plainConnector: dialler(false, false),
    scheme: schemeOf(upstream.auth),
    accounts,
    checked: checked({ ...health, host: shared, standings: accounts.map(({ standing }) => standing) }),
    condition: shared.condition,
    firstBytes: firstBytes(),
    dispatch: dispatch({ ...way, base }),
    dispatchFromRoot: dispatch({ ...way, base: { path: '', query: '' } }),
    secrets: () => keys.flatMap(({ key }) => shownBy(key) ?? []),
    close: () => {
      connections.close()
      trust.close()
      egressTrust.close()
    },
  }
}

function shownBy(key: Credential | undefined): string | undefined {
  try {
    return key?.current()
  } catch {
    // There is none at the moment.
    return undefined
  }
}

function schemeOf(auth: Upstream['auth']): Scheme {
  if (typeof auth === 'object') return { header: auth.header, prefix: auth.prefix ?? '' }
  return auth === 'bearer' ? { header: 'authorization', prefix: 'Bearer ' } : { header: auth, prefix: '' }
}
