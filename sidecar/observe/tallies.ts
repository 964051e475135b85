import type { Metric } from 'prom-client'
import type Registry from 'prom-client/lib/registry.js'

type Labels = Readonly<Record<string, string>>

/** A number that only grows. */
export interface Count {
  n: number
}

export interface Spread {
  readonly observe: (value: number) => void
}

interface Value {
  readonly metricName?: string
  readonly labels: Labels
  readonly value: number
}

/**
 * Counters kept as plain numbers, which prom-client asks for at a scrape. Counting is done for every call, asking a few times a minute; its
 * own counters look their labels up each time.
 */
export function counters(registry: Registry, name: string, help: string): (labels: Labels) => Count {
  const all = new Map<string, { labels: Labels; count: Count }>()
  register(registry, { name, help, type: 'counter' }, () => [...all.values()].map(({ labels, count }) => ({ labels, value: count.n })))
  return (labels) => {
    // Asked for twice, a series is still one: two statuses may share a label.
    const key = JSON.stringify(labels)
    const { count } = all.get(key) ?? { count: { n: 0 } }
    all.set(key, { labels, count })
    return count
  }
}

/** Histograms of the same kind. `bounds` grow; above the last there is only infinity. */
export function histograms(
  registry: Registry,
  about: { name: string; help: string },
  bounds: readonly number[],
): (labels: Labels) => Spread {
  const all: { labels: Labels; counts: number[]; sum: Count }[] = []
  const { name } = about
  register(registry, { ...about, type: 'histogram' }, () =>
    all.flatMap(({ labels, counts, sum }) => {
      const values: Value[] = []
      let below = 0
      for (const [at, count] of counts.entries()) {
        below += count
        values.push({
          metricName: `${name}_bucket`,
          labels: { le: at < bounds.length ? String(bounds[at]) : '+Inf', ...labels },
          value: below,
        })
      }
      return [...values, { metricName: `${name}_sum`, labels, value: sum.n }, { metricName: `${name}_count`, labels, value: below }]
    }),
  )
  return (labels) => {
    const counts = Array.from({ length: bounds.length + 1 }, () => 0)
    const sum = { n: 0 }
    all.push({ labels, counts, sum })
    return {
      observe: (value) => {
        let at = 0
        while (at < bounds.length && value > (bounds[at] ?? Infinity)) at++
        counts[at] = (counts[at] ?? 0) + 1
        sum.n += value
      },
    }
  }
}

/** All that prom-client's registry asks of a metric is its name and, at a scrape, its values. */
function register(registry: Registry, about: { name: string; help: string; type: string }, values: () => Value[]): void {
  const metric = {
    ...about,
    aggregator: 'sum',
    get: () => Promise.resolve({ ...about, aggregator: 'sum', values: values() }),
    reset: () => {},
  }
  registry.registerMetric(metric as unknown as Metric)
}
