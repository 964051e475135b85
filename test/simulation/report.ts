import { hours, seconds } from './faults.ts'
import type { Figures, Quantiles } from './figures.ts'
import type { Verdict } from './goals.ts'
import type { Scenario } from './scenario.ts'

const width = 80

/** What a run showed, for a terminal of 80 columns. */
export function report({ name, seed, calls }: Scenario, figures: Figures, verdicts: readonly Verdict[]): string {
  const { addedMs, addedToRepeatedMs, firstByteMs, lost, attemptsAt, attempts, lastsMs } = figures
  const lines = [
    `${name} · ${thousands(calls)} calls in ${(lastsMs / hours).toFixed(1)} h · seed ${seed}`,
    ...verdicts.flatMap(({ text, shown, met }) => row(text, shown, met ? 'reached' : 'MISSED')),
    ...row('added by repeats, all calls: p50, p99, p99.9', quantiles(addedMs)),
    ...row('added by repeats, repeated calls: p50, p99, p99.9', quantiles(addedToRepeatedMs)),
    ...row('first byte: p50, p99, p99.9', quantiles(firstByteMs)),
    ...row(
      'attempts by upstream',
      [...attemptsAt].map(([upstream, count]) => `${upstream} ${Math.round((100 * count) / attempts)} %`).join(', '),
    ),
    ...[...lost]
      .toSorted(([, one], [, other]) => other - one)
      .slice(0, mostReasons)
      .flatMap(([why, count]) => row(`lost: ${why}`, thousands(count))),
  ]
  return `${lines.join('\n')}\n`
}

const mostReasons = 6
const verdictWidth = 8

function row(text: string, shown: string, verdict = ''): string[] {
  const room = width - verdictWidth - shown.length - 4
  const tail = `${shown}${verdict === '' ? '' : ` ${verdict.padEnd(verdictWidth - 1)}`}`
  if (text.length <= room) return [`  ${text.padEnd(width - verdictWidth - shown.length - 2)}${tail}`.trimEnd()]
  return [`  ${text}`, `${' '.repeat(width - verdictWidth - shown.length)}${tail}`.trimEnd()]
}

const quantiles = ({ p50, p99, p999 }: Quantiles): string => [p50, p99, p999].map((ms) => `${(ms / seconds).toFixed(1)}`).join(', ') + ' s'

const thousands = (count: number): string => String(count).replaceAll(/\B(?=(?:\d{3})+$)/g, ' ')
