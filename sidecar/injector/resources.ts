import type { Tuning } from './annotations.ts'
import { Denial } from './denial.ts'
import { domain } from './names.ts'
import type { Profile } from './profile.ts'
import { amountOf } from './quantity.ts'
import { rawOf, type Raw } from './raw.ts'

export interface Resources {
  readonly requests: Readonly<Record<string, string>>
  readonly limits: Readonly<Record<string, string>>
}

/** What the sidecar asks for: each of the four from the annotation, else from the profile, so that one of them never erases another. */
export function resourcesFor({ inject }: Profile, tuning: Tuning, podLevel: Raw): Resources {
  const cpu = pair('cpu', tuning, inject.cpuRequest, inject.cpuLimit)
  const memory = pair('memory', tuning, inject.memoryRequest, inject.memoryLimit)
  // What the pod as a whole asks for must hold what its containers ask for: one that was just enough would be refused with ours on top.
  const shared = (name: string): boolean => name in rawOf(podLevel['requests']) || name in rawOf(podLevel['limits'])
  const parts = Object.entries({ cpu, memory }).map(([name, { request, limit }]) => ({
    name,
    request: shared(name) ? tuning[`${name}-request` as 'cpu-request'] : request,
    limit: shared(name) ? tuning[`${name}-limit` as 'cpu-limit'] : limit,
  }))
  return {
    requests: Object.fromEntries(parts.flatMap(({ name, request }) => (request === undefined ? [] : [[name, request]]))),
    limits: Object.fromEntries(parts.flatMap(({ name, limit }) => (limit === undefined ? [] : [[name, limit]]))),
  }
}

interface Pair {
  readonly request: string
  readonly limit: string | undefined
}

/** A limit below the request is refused by the API server: what was asked for by name stands, and the other one gives way. */
function pair(name: 'cpu' | 'memory', tuning: Tuning, request: string, limit: string | undefined): Pair {
  const [askedRequest, askedLimit] = [tuning[`${name}-request`], tuning[`${name}-limit`]]
  const least = askedRequest ?? request
  const most = askedLimit ?? limit
  if (most === undefined || amountOf(least) <= amountOf(most)) return { request: least, limit: most }
  if (askedRequest !== undefined && askedLimit !== undefined) {
    throw new Denial(`annotation ${domain}${name}-request: ${askedRequest} is more than ${domain}${name}-limit, which is ${askedLimit}`)
  }
  return askedRequest === undefined ? { request: most, limit: most } : { request: least, limit: least }
}
