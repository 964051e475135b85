import type { Host, Change, Standing } from '../standing.ts'
import type { Answer } from './question.ts'

/** What checks have told of an upstream. It outlives those who ask, and the config that wanted it. */
export interface Checked {
  /** `chosen`: somebody has said that this is what to ask; else it may be the wrong question. */
  readonly told: (answer: Answer, chosen: boolean, now: number) => void
  /** A call went well. */
  readonly vouched: (now: number) => void
  /** Nobody asks any more, so that nobody could bring it back. */
  readonly ended: (now: number) => void
  readonly read: (now: number) => CheckFacts
}

export interface CheckFacts {
  readonly good: number
  readonly failed: number
  readonly last: LastCheck | undefined
}

export interface LastCheck {
  readonly well: boolean
  readonly what: string
  /** It counts; else an upstream that never answered this question well has answered it ill once more. */
  readonly believed: boolean
  readonly msAgo: number
}

export interface CheckedOptions {
  readonly upstream: string
  readonly host: Host
  readonly standings: readonly Standing[]
  readonly changed: (change: Change) => void
}

/** A check is about the host: what it says holds for every key and every model. */
export function checked({ upstream, host, standings, changed }: CheckedOptions): Checked {
  const { level } = host
  const { health } = level
  let good = 0
  let failed = 0
  /** Whether the question is one that this upstream answers. */
  let proven = false
  let last: Omit<LastCheck, 'msAgo'> | undefined
  let lastMs = 0

  const take = (well: boolean, why: string, now: number): void => {
    const from = health.state(now)
    const back = health.checked(well, now)
    if (back) for (const one of [health, ...standings.flatMap(({ known }) => known())]) one.hasten(now)
    const to = health.state(now)
    if ((from === 'down') === (to === 'down')) return
    level.told = to
    const until = health.until(now)
    changed({ upstream, credential: '', model: '', from, to, forMs: until === undefined ? undefined : until - now, why })
  }

  return {
    told: ({ well, what, reached }, chosen, now) => {
      if (well) good++
      else failed++
      proven ||= well
      // An upstream that never answered this question otherwise may well answer calls.
      const believed = well || !reached || chosen || proven
      last = { well, what, believed }
      lastMs = now
      if (!believed) health.doubted()
      else take(well, `${well ? 'checks go well again' : 'checks fail'}, the last: ${what}`, now)
    },
    vouched: (now) => {
      take(true, 'calls go well again', now)
    },
    ended: (now) => {
      while (health.state(now) === 'down') take(true, 'it is not checked any more', now)
    },
    read: (now) => ({ good, failed, last: last && { ...last, msAgo: now - lastMs } }),
  }
}
