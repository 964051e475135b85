/** How long the first event of a stream is waited for. */
export interface Patience {
  /** Who has nobody else to turn to waits longer than who goes elsewhere. */
  readonly current: (last: boolean) => number
  readonly observe: (ms: number) => void
}

const warmAfter = 50
const kept = 200
const shortestMs = 15_000
const longestMs = 120_000
const coldMs = 60_000

/** Three times what nearly all first events took, once enough have been seen: a model that thinks long is not a model that hangs. */
export function adaptivePatience(): Patience {
  const samples: number[] = []
  let at = 0
  let ms = coldMs
  return {
    current: (last) => (last ? Math.max(ms, coldMs) : ms),
    observe: (sample) => {
      samples[at] = sample
      at = (at + 1) % kept
      // Sorting at every call would cost more than being a few calls late.
      if (samples.length < warmAfter || at % 10 !== 0) return
      const sorted = samples.toSorted((one, other) => one - other)
      const p99 = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * 0.99))] ?? coldMs
      ms = Math.min(longestMs, Math.max(shortestMs, 3 * p99))
    },
  }
}

export const fixedPatience = (ms: number): Patience => ({ current: () => ms, observe: () => {} })
