import type { Config } from '../config/config.ts'
import type { Surroundings } from './pipeline.ts'
import type { TunnelOptions } from './serve/tunnel.ts'
import type { Candidate } from './upstream/candidate.ts'
import { stableOf, type Route } from './upstream/route.ts'
import type { OpenTarget } from './upstream/target.ts'

/** A session is as long as a shift: it goes to one that is usable at its beginning, and is nothing that could be tried again. */
export function candidateFor(url: string, routes: readonly Route[], now: number): Candidate {
  const model = new URLSearchParams(url.slice(url.indexOf('?') + 1)).get('model') ?? ''
  const route = stableOf(routes.find(({ serves }) => serves(model)) ?? routes.at(-1))
  const all = (route?.tiers ?? []).flat().filter(({ serves, weight }) => serves(model) && weight > 0)
  const found = all.find(({ standing }) => standing.usable(model, now)) ?? all[0] ?? routes.at(-1)?.tiers[0]?.[0]
  if (found === undefined) throw new Error('a config without upstreams is refused before it comes here')
  return found
}

export function socketsOf(
  { limits, timeouts }: Config,
  candidate: Candidate,
  targets: readonly OpenTarget[],
  rest: Surroundings & { readonly newId: () => string },
): TunnelOptions {
  const target = targets.find(({ name }) => name === candidate.upstream)
  const account = target?.accounts.find(({ credential }) => credential === candidate.credential)
  if (target === undefined) throw new Error('a candidate without its upstream')
  return {
    ...rest,
    connector: target.plainConnector,
    upstream: { name: target.name, authority: target.url.host, base: target.base },
    scheme: target.scheme,
    key: account?.key,
    limit: limits.inFlight,
    headerLines: limits.headers,
    // A model has nothing to think about before an upgrade.
    firstMs: timeouts.connect,
    idleMs: timeouts.webSocketIdle,
    totalMs: timeouts.streamTotal,
  }
}
