export type Figure = {
  readonly workload: string
  readonly metric: string
  readonly peer: string
  readonly round: number
  readonly value: number
}

/** The values of one peer, by round. */
export function values(figures: readonly Figure[], workload: string, metric: string, peer: string): number[] {
  return figures.filter((one) => one.workload === workload && one.metric === metric && one.peer === peer).map((one) => one.value)
}

/**
 * Each round of one peer over the same round of another. A shared machine has fast and slow minutes: both of a round had the same one,
 * so the median of ratios says more than the ratio of medians.
 */
export function ratios(figures: readonly Figure[], workload: string, metric: string, peer: string, base: string): number[] {
  const rounds = (name: string) =>
    new Map(
      figures.filter((one) => one.workload === workload && one.metric === metric && one.peer === name).map((one) => [one.round, one.value]),
    )
  const bases = rounds(base)
  return [...rounds(peer)].flatMap(([round, value]) => {
    const by = bases.get(round)
    return by === undefined || by === 0 ? [] : [value / by]
  })
}

export function median(list: readonly number[]): number {
  const sorted = list.filter((value) => !Number.isNaN(value)).toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? Number.NaN)) / 2
}

/** A name's values in the order in which they first appear. */
export function distinct<K extends 'workload' | 'metric' | 'peer'>(figures: readonly Figure[], key: K): string[] {
  return [...new Set(figures.map((one) => one[key]))]
}
