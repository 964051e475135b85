import type { Metric } from 'prom-client'
import Registry from 'prom-client/lib/registry.js'
import { catalogue, type MetricName } from './catalogue.ts'

export type Labels = Readonly<Record<string, string>>

/** A number that only grows. */
export interface Count {
  n: number
}

export interface Spread {
  /** `trace` is where somebody who wonders about this value can look, `atMs` when it was. */
  readonly observe: (value: number, trace?: string, atMs?: number) => void
}

interface Value {
  readonly metricName?: string
  readonly labels: Labels
  readonly value: number
  readonly exemplar?: { readonly labelSet: Labels; readonly value: number; readonly timestamp: number } | undefined
}

/** One set of metrics, told in the format that a scraper asks for. */
export interface Exposition {
  readonly register: (name: MetricName, values: () => readonly Value[] | Promise<readonly Value[]>) => void
  /** When the clock stood at zero. */
  readonly epochMs: () => number
  readonly text: (format: Format) => Promise<string>
}

export type Format = 'prometheus' | 'openmetrics'

export const contentTypes: Readonly<Record<Format, string>> = {
  prometheus: Registry.PROMETHEUS_CONTENT_TYPE,
  openmetrics: Registry.OPENMETRICS_CONTENT_TYPE,
}

/** A registry of prom-client for each format: one by itself renames its counters for good as soon as it has told them in OpenMetrics. */
export function exposition(now: () => number): Exposition {
  const prometheus = new Registry()
  const openmetrics = new Registry<typeof Registry.OPENMETRICS_CONTENT_TYPE>()
  openmetrics.setContentType(Registry.OPENMETRICS_CONTENT_TYPE)
  return {
    register: (name, values) => {
      const { type, help } = catalogue[name]
      add(prometheus, { name, help, type }, values)
      add(openmetrics, { name: name.replace(/_total$/, ''), help, type }, values)
    },
    epochMs: () => Date.now() - now(),
    text: (format) => (format === 'openmetrics' ? openmetrics : prometheus).metrics(),
  }
}

/**
 * Counters kept as plain numbers, which prom-client asks for at a scrape. Counting is done for every call, asking a few times a minute; its
 * own counters look their labels up each time.
 */
export function counters({ register }: Exposition, name: MetricName): (labels: Labels) => Count {
  const all = new Map<string, { labels: Labels; count: Count }>()
  register(name, () => [...all.values()].map(({ labels, count }) => ({ labels, value: count.n })))
  return (labels) => {
    // Asked for twice, a series is still one: two statuses may share a label.
    const key = JSON.stringify(labels)
    const { count } = all.get(key) ?? { count: { n: 0 } }
    all.set(key, { labels, count })
    return count
  }
}

/** The last value in a bucket that can be followed. */
interface Exemplar {
  trace: string
  value: number
  /** On the clock. */
  atMs: number
}

interface Series {
  readonly labels: Labels
  readonly counts: number[]
  readonly sum: Count
  exemplars: (Exemplar | undefined)[] | undefined
}

/** Histograms of the same kind. `bounds` grow; above the last there is only infinity. */
export function histograms({ register, epochMs }: Exposition, name: MetricName, bounds: readonly number[]): (labels: Labels) => Spread {
  const all = new Map<string, { series: Series; spread: Spread }>()
  register(name, () => [...all.values()].flatMap(({ series }) => valuesOf(series, name, bounds, epochMs())))
  return (labels) => {
    const key = JSON.stringify(labels)
    const known = all.get(key)
    if (known !== undefined) return known.spread
    const series: Series = { labels, counts: Array.from({ length: bounds.length + 1 }, () => 0), sum: { n: 0 }, exemplars: undefined }
    const spread = spreadOver(series, bounds)
    all.set(key, { series, spread })
    return spread
  }
}

function spreadOver(series: Series, bounds: readonly number[]): Spread {
  const { counts, sum } = series
  return {
    observe: (value, trace, atMs = 0) => {
      let at = 0
      while (at < bounds.length && value > (bounds[at] ?? Infinity)) at++
      counts[at] = (counts[at] ?? 0) + 1
      sum.n += value
      if (trace === undefined) return
      series.exemplars ??= Array.from({ length: bounds.length + 1 })
      const exemplar = series.exemplars[at]
      if (exemplar === undefined) series.exemplars[at] = { trace, value, atMs }
      else {
        exemplar.trace = trace
        exemplar.value = value
        exemplar.atMs = atMs
      }
    },
  }
}

function valuesOf({ labels, counts, sum, exemplars }: Series, name: string, bounds: readonly number[], epochMs: number): Value[] {
  const values: Value[] = []
  let below = 0
  for (const [at, count] of counts.entries()) {
    below += count
    const seen = exemplars?.[at]
    values.push({
      metricName: `${name}_bucket`,
      labels: { le: at < bounds.length ? String(bounds[at]) : '+Inf', ...labels },
      value: below,
      exemplar: seen && { labelSet: { trace_id: seen.trace }, value: seen.value, timestamp: (epochMs + seen.atMs) / 1_000 },
    })
  }
  return [...values, { metricName: `${name}_sum`, labels, value: sum.n }, { metricName: `${name}_count`, labels, value: below }]
}

/** All that prom-client's registry asks of a metric is its name and, at a scrape, its values. */
function add(
  registry: Pick<Registry, 'registerMetric'>,
  about: { name: string; help: string; type: string },
  values: Parameters<Exposition['register']>[1],
): void {
  const metric = {
    ...about,
    aggregator: 'sum',
    get: async () => ({ ...about, aggregator: 'sum', values: await values() }),
    reset: () => {},
  }
  registry.registerMetric(metric as unknown as Metric)
}
