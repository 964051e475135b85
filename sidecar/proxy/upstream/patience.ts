import type { FirstBytes } from './firstBytes.ts'

/** How long the first event of a stream is waited for, and what is known of first bytes at the upstream. */
export interface Patience extends Pick<FirstBytes, 'took' | 'gaveUp' | 'usualMs'> {
  /** Who has nobody else to turn to waits longer than who goes elsewhere. */
  readonly current: (model: string, last: boolean) => number
}

export interface PatienceNumbers {
  readonly coldMs: number
  readonly shortestMs: number
  readonly longestMs: number
  readonly times: number
  readonly warmAfter: number
}

/** A multiple of what nearly all first events took, once enough have been seen: a model that thinks long is not a model that hangs. */
export function adaptivePatience(known: FirstBytes, { coldMs, shortestMs, longestMs, times, warmAfter }: PatienceNumbers): Patience {
  return {
    ...known,
    current: (model, last) => {
      const longMs = known.longMs(model, warmAfter)
      const ms = longMs === undefined ? coldMs : Math.min(longestMs, Math.max(shortestMs, times * longMs))
      return last ? Math.max(ms, coldMs) : ms
    },
  }
}

export const fixedPatience = (known: FirstBytes, ms: number): Patience => ({ ...known, current: () => ms })
