import type { HealthNumbers } from './numbers.ts'

/** For how long one is taken out: longer each time. */
export interface Terms {
  /** With the time since it came back: none where it has not, endless where it never was out. */
  readonly ejection: (backForMs: number) => number
  /** The fault it was taken out for is over: what comes now is another. */
  readonly over: () => void
  readonly exhaustion: () => number
  readonly paid: () => void
  readonly reset: () => void
}

export function terms(set: HealthNumbers, random: () => number): Terms {
  let ejections = 0
  let exhaustions = 0
  return {
    ejection: (backForMs) => {
      ejections = Math.max(0, ejections - Math.floor(backForMs / set.forgetMs)) + 1
      const ms = Math.min(set.longestEjectionMs, set.ejectionMs * 2 ** Math.min(ejections - 1, 30))
      // Sidecars that took it out together do not come back together, nor do they where the doubling has its bound.
      return ms * (1 - set.ejectionJitter + 2 * set.ejectionJitter * random())
    },
    over: () => {
      ejections = 0
    },
    exhaustion: () => Math.min(set.longestExhaustedMs, set.exhaustedMs * 2 ** Math.min(exhaustions++, 30)),
    paid: () => {
      exhaustions = 0
    },
    reset: () => {
      ejections = exhaustions = 0
    },
  }
}
