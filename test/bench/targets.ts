import { type Figure, median, ratios, values } from './figures.ts'

type Target = {
  readonly text: string
  readonly at: (figures: readonly Figure[]) => number
  readonly holds: (value: number) => boolean
  readonly digits: number
}

export type Verdict = { readonly text: string; readonly value: number | null; readonly shown: string; readonly met: boolean | null }

/** What Outrider promises to cost; a figure that was not measured is neither met nor missed. */
const targets: readonly Target[] = [
  atMost('CPU per call, x Envoy', 1.25, ratio('json', 'outrider', 'envoy')),
  atMost('CPU per call, x nginx', 4.8, ratio('json', 'outrider', 'nginx')),
  atMost('CPU per call with three upstreams, x Envoy', 1.3, ratio('json', 'outrider-three', 'envoy')),
  atMost('CPU per chunk, x Envoy', 1.4, ratio('streams', 'outrider', 'envoy')),
  atMost('CPU per chunk with three upstreams, x Envoy', 1.4, ratio('streams', 'outrider-three', 'envoy')),
  atLeast('Portkey, CPU per call, x ours', 10, ratio('json', 'portkey', 'outrider')),
  atMost('added p50 at 10 calls/s, ms', 1, middle('rate 10/s', 'addedP50Ms')),
  atMost('RSS idle, MiB', 68, middle('memory', 'idleRss')),
  atMost('anonymous memory idle, MiB', 22, middle('memory', 'idleAnonymous')),
  atMost('RSS with 1 000 streams, MiB', 160, middle('memory', 'streamsRss')),
  atMost('RSS with 1 000 streams over TLS, MiB', 230, middle('memory', 'streamsTlsRss')),
  atMost('listening after, ms', 150, middle('start', 'listeningMs')),
]

export function judge(figures: readonly Figure[]): Verdict[] {
  return targets.map(({ text, at, holds, digits }) => {
    const value = at(figures)
    if (Number.isNaN(value)) return { text, value: null, shown: 'not measured', met: null }
    return { text, value, shown: value.toFixed(digits), met: holds(value) }
  })
}

function atMost(what: string, limit: number, at: Target['at']): Target {
  return { text: `${what} <= ${limit}`, at, holds: (value) => value <= limit, digits: limit < 20 ? 2 : 0 }
}

function atLeast(what: string, limit: number, at: Target['at']): Target {
  return { text: `${what} >= ${limit}`, at, holds: (value) => value >= limit, digits: 1 }
}

function ratio(workload: string, peer: string, base: string): Target['at'] {
  return (figures) => median(ratios(figures, workload, 'cpuUs', peer, base))
}

function middle(workload: string, metric: string): Target['at'] {
  return (figures) => median(values(figures, workload, metric, 'outrider'))
}
