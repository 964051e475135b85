import { distinct, type Figure, median, ratios, values } from './figures.ts'
import type { Verdict } from './targets.ts'

type Column = { readonly title: string; readonly digits: number }

const columns: Readonly<Record<string, Column>> = {
  cpuUs: { title: 'CPU µs each', digits: 1 },
  perSecond: { title: 'per second', digits: 0 },
  p50Ms: { title: 'p50 ms', digits: 2 },
  p99Ms: { title: 'p99 ms', digits: 2 },
  addedP50Ms: { title: 'added p50 ms', digits: 2 },
  failed: { title: 'failed', digits: 0 },
  idleRss: { title: 'idle', digits: 1 },
  idleAnonymous: { title: '(anonymous)', digits: 1 },
  loadedRss: { title: 'loaded', digits: 1 },
  loadedAnonymous: { title: '(anonymous)', digits: 1 },
  streamsRss: { title: '1 000 streams', digits: 1 },
  streamsAnonymous: { title: '(anonymous)', digits: 1 },
  streamsTlsRss: { title: 'same over TLS', digits: 1 },
  streamsTlsAnonymous: { title: '(anonymous)', digits: 1 },
  listeningMs: { title: 'listening after ms', digits: 0 },
  cpuMs: { title: 'CPU ms', digits: 0 },
}

/** One table for each workload: medians over the rounds, CPU also as a multiple of nginx and Envoy. */
export function tables(figures: readonly Figure[]): string {
  return distinct(figures, 'workload')
    .map((workload) =>
      table(
        figures.filter((one) => one.workload === workload),
        workload,
      ),
    )
    .join('\n')
}

export function verdicts(list: readonly Verdict[]): string {
  const rows = list.map(({ text, shown, met }) => [text, shown, met === null ? '' : met ? 'reached' : 'MISSED'])
  return `To reach\n${aligned(rows)}\n`
}

function table(figures: readonly Figure[], workload: string): string {
  const metrics = distinct(figures, 'metric').filter(
    (metric) => metric !== 'failed' || figures.some((one) => one.metric === 'failed' && one.value > 0),
  )
  const bases = metrics.includes('cpuUs') ? ['nginx', 'envoy'] : []
  const header = ['', ...bases.map((base) => `CPU x ${base}`), ...metrics.map((metric) => columns[metric]?.title ?? metric)]
  const rows = distinct(figures, 'peer').map((peer) => [
    peer,
    ...bases.map((base) => shown(ratios(figures, workload, 'cpuUs', peer, base), 2)),
    ...metrics.map((metric) => shown(values(figures, workload, metric, peer), columns[metric]?.digits ?? 2)),
  ])
  return `${workload}\n${aligned([header, ...rows])}\n`
}

function shown(list: readonly number[], digits: number): string {
  return list.length === 0 ? '' : median(list).toFixed(digits)
}

/** The first column to the left, the others to the right. */
function aligned(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, at) => Math.max(...rows.map((row) => row[at]?.length ?? 0)))
  return rows
    .map((row) =>
      `  ${row.map((cell, at) => (at === 0 ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0))).join('  ')}`.trimEnd(),
    )
    .join('\n')
}
