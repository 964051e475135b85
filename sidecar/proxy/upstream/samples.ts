/** How long something took, the last times. */
export interface Samples {
  readonly count: () => number
  readonly add: (ms: number) => void
  /** Half of them took less, and nearly all; zero where there are none. */
  readonly median: () => number
  readonly p99: () => number
}

/** Sorting at every call would cost more than being a few calls late. */
const sortedEach = 10

/** Sorting needs a place for a moment, and never across an await. */
let scratch = new Float64Array(256)

export function samples(most: number): Samples {
  const kept = new Float64Array(most)
  let count = 0
  let next = 0
  let unsorted = 0
  let median = 0
  let p99 = 0

  const sort = (): void => {
    if (scratch.length < most) scratch = new Float64Array(most)
    const sorted = scratch.subarray(0, count)
    sorted.set(kept.subarray(0, count))
    sorted.sort()
    median = sorted[(count - 1) >> 1] ?? 0
    p99 = sorted[Math.min(count - 1, Math.floor(count * 0.99))] ?? 0
    unsorted = 0
  }
  const fresh = (): void => {
    if (unsorted >= Math.min(sortedEach, count)) sort()
  }

  return {
    count: () => count,
    add: (ms) => {
      kept[next] = ms
      next = next + 1 === most ? 0 : next + 1
      if (count < most) count++
      unsorted++
    },
    median: () => {
      fresh()
      return median
    },
    p99: () => {
      fresh()
      return p99
    },
  }
}
