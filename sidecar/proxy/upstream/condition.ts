/** The words of `/health`. */
export type State = 'healthy' | 'degraded' | 'unhealthy'

/**
 * How attempts at one upstream ended. `refused` is an answer that says that this key may not, or not now: the upstream is up and of no use.
 */
export type Outcome = 'good' | 'refused' | 'failed'

/** What is known of an upstream from the attempts that were made anyway: nobody is asked for it. */
export interface Condition {
  readonly note: (outcome: Outcome, what: string, at: number) => void
  /** Counts how long the head of an answer took. */
  readonly took: (ms: number) => void
  readonly state: () => State
  readonly read: (now: number) => ConditionFacts
}

export interface ConditionFacts {
  readonly attempts: number
  readonly good: number
  readonly failuresInARow: number
  /** Undefined while there was none. */
  readonly meanResponseMs: number | undefined
  readonly lastGoodMsAgo: number | undefined
  readonly lastBad: { readonly what: string; readonly msAgo: number } | undefined
}

/** Of the last attempts so many may have gone wrong: a little more than a tenth. No setting, for `degraded` is a word for people and does nothing. */
const remembered = 20
const mostOfThem = 2

/** `mostInARow` failures in a row are what takes an upstream out as well. */
export function condition(mostInARow: number): Condition {
  let attempts = 0
  let good = 0
  let failuresInARow = 0
  /** A bit for each of the last attempts, the latest the lowest; set where it went wrong. */
  let recent = 0
  let heads = 0
  let headsMs = 0
  let lastGoodMs: number | undefined
  let lastBad: { what: string; at: number } | undefined
  const state = (): State => {
    if (failuresInARow >= mostInARow) return 'unhealthy'
    return (recent & 1) === 1 || ones(recent) > mostOfThem ? 'degraded' : 'healthy'
  }
  return {
    note: (outcome, what, at) => {
      attempts++
      recent = ((recent << 1) | (outcome === 'good' ? 0 : 1)) & (2 ** remembered - 1)
      // Who refuses is there: that ends a row of failures too.
      failuresInARow = outcome === 'failed' ? failuresInARow + 1 : 0
      if (outcome === 'good') {
        good++
        lastGoodMs = at
      } else lastBad = { what, at }
    },
    took: (ms) => {
      heads++
      headsMs += ms
    },
    state,
    read: (now) => ({
      attempts,
      good,
      failuresInARow,
      meanResponseMs: heads === 0 ? undefined : headsMs / heads,
      lastGoodMsAgo: lastGoodMs === undefined ? undefined : now - lastGoodMs,
      lastBad: lastBad === undefined ? undefined : { what: lastBad.what, msAgo: now - lastBad.at },
    }),
  }
}

function ones(bits: number): number {
  let count = 0
  for (let rest = bits; rest !== 0; rest &= rest - 1) count++
  return count
}
