import { slidingSum, type SlidingSum } from '../upstream/slidingSum.ts'

export type SideName = 'stable' | 'canary'
export const sideNames: readonly SideName[] = ['stable', 'canary']

/** How a call fared on the side that was chosen for it. `refused` is a call that was understood and found wrong. */
export type Verdict = 'good' | 'failed' | 'refused'
export const verdicts: readonly Verdict[] = ['good', 'failed', 'refused']

/** `promoted` ends the trial: nothing is rolled back by itself any more. */
export type TrialState = 'running' | 'rolled_back' | 'promoted'
export const trialStates: readonly TrialState[] = ['running', 'rolled_back', 'promoted']

/** What the config says of a canary. */
export interface Terms {
  /** Of a hundred calls. */
  readonly weight: number
  /** What it is that is on trial, and with what weight: another text is another trial. */
  readonly identity: string
  readonly failoverThreshold: number
  readonly margin: number
  readonly minimumCalls: number
  readonly windowMs: number
  readonly refusals: boolean
}

/** What outlives the process, where that is wanted. */
export interface Setting {
  /** The identity of the terms that it was set under. */
  readonly identity: string
  readonly weight: number
  readonly state: TrialState
  /** Grows with each change. */
  readonly version: number
  /** Since the epoch. */
  readonly sinceMs: number
  readonly why: string
  readonly rollbacks: number
}

export interface Rate {
  readonly calls: number
  readonly failed: number
  readonly refused: number
  /** Undefined before the first call. */
  readonly errorRate: number | undefined
}

/** One canary over all configs that have it. */
export interface Trial {
  readonly route: string
  readonly setting: () => Setting
  readonly terms: () => Terms
  /** Takes up what the config says now; it goes before what was set at run time only where it has changed. */
  readonly adopt: (terms: Terms) => void
  readonly setWeight: (weight: number, why: string) => void
  readonly promote: (why: string) => void
  readonly rollBack: (why: string) => void
  /** Back to what the config says. */
  readonly reset: (why: string) => void
  /** `counts` is false where somebody chose the side: that is a test, and says nothing of the calls of others. */
  readonly note: (side: SideName, verdict: Verdict, counts: boolean) => void
  /** Within the window. */
  readonly rate: (side: SideName) => Rate
  /** Since the start, forced calls too. */
  readonly total: (side: SideName, verdict: Verdict) => number
}

export interface TrialOptions {
  readonly route: string
  readonly now: () => number
  /** What an earlier process has left. */
  readonly saved: Setting | undefined
  readonly changed: (change: Change) => void
}

export interface Change {
  readonly trial: Trial
  readonly before: Setting
  readonly after: Setting
  /** Nobody asked for it: the canary had failed too often. */
  readonly automatic: boolean
}

type Sums = Readonly<Record<SideName, Readonly<Record<Verdict, SlidingSum>>>>

/** Keeps the weight of one canary, counts how both sides fare, and takes the weight away when the canary fails too often. */
export function trial({ route, now, saved, changed }: TrialOptions, first: Terms): Trial {
  let terms = first
  let sums = sumsOver(first.windowMs)
  let setting: Setting =
    saved?.identity === first.identity
      ? saved
      : {
          identity: first.identity,
          weight: first.weight,
          state: 'running',
          version: (saved?.version ?? 0) + 1,
          sinceMs: Date.now(),
          why: 'as configured',
          rollbacks: saved?.rollbacks ?? 0,
        }
  const totals: Record<SideName, Record<Verdict, number>> = { stable: noCalls(), canary: noCalls() }

  const change = (next: Partial<Setting>, automatic = false): void => {
    const before = setting
    setting = { ...before, ...next, version: before.version + 1, sinceMs: Date.now() }
    // What has failed before is no fault of the next try.
    if (before.state !== setting.state) sums = sumsOver(terms.windowMs)
    changed({ trial: self, before, after: setting, automatic })
  }
  const rate = (side: SideName): Rate => {
    const time = now()
    const [good, failed, refused] = [sums[side].good.sum(time), sums[side].failed.sum(time), sums[side].refused.sum(time)]
    const calls = good + failed + refused
    return { calls, failed, refused, errorRate: calls === 0 ? undefined : (failed + (terms.refusals ? refused : 0)) / calls }
  }

  const self: Trial = {
    route,
    setting: () => setting,
    terms: () => terms,
    adopt: (next) => {
      const before = terms
      terms = next
      if (next.identity !== setting.identity) {
        sums = sumsOver(next.windowMs)
        change({ identity: next.identity, weight: next.weight, state: 'running', why: 'the config has changed' })
      } else if (before.windowMs !== next.windowMs) sums = sumsOver(next.windowMs)
    },
    setWeight: (weight, why) => {
      change({ weight, state: 'running', why })
    },
    promote: (why) => {
      change({ weight: 100, state: 'promoted', why })
    },
    rollBack: (why) => {
      change({ weight: 0, state: 'rolled_back', why, rollbacks: setting.rollbacks + 1 })
    },
    reset: (why) => {
      sums = sumsOver(terms.windowMs)
      change({ weight: terms.weight, state: 'running', why })
    },
    note: (side, verdict, counts) => {
      totals[side][verdict]++
      if (!counts) return
      sums[side][verdict].add(1, now())
      if (side === 'stable' || verdict === 'good' || setting.state !== 'running' || setting.weight === 0) return
      const why = failing(terms, rate('canary'), rate('stable'))
      if (why !== undefined) change({ weight: 0, state: 'rolled_back', why, rollbacks: setting.rollbacks + 1 }, true)
    },
    rate,
    total: (side, verdict) => totals[side][verdict],
  }
  return self
}

/** Why the canary has to go; undefined where it may stay. */
export function failing(
  { failoverThreshold, margin, minimumCalls, refusals }: Terms,
  canary: Omit<Rate, 'errorRate'>,
  stable: Omit<Rate, 'errorRate'>,
): string | undefined {
  if (canary.calls < minimumCalls) return undefined
  const isComparable = stable.calls >= minimumCalls
  // Whose fault a refusal is shows only beside the stable side.
  const bad = ({ failed, refused }: typeof canary): number => failed + (refusals && isComparable ? refused : 0)
  const rate = bad(canary) / canary.calls
  if (!(rate > failoverThreshold)) return undefined
  const said = `${bad(canary)} of ${canary.calls} calls failed (${percent(rate)}, more than ${percent(failoverThreshold)})`
  if (!isComparable) return `${said}, with too few on the stable side to compare`
  const beside = bad(stable) / stable.calls
  return rate > beside + margin ? `${said}, ${percent(beside)} of ${stable.calls} on the stable side` : undefined
}

const percent = (share: number): string => `${Number((share * 100).toFixed(1))} %`

const noCalls = (): Record<Verdict, number> => ({ good: 0, failed: 0, refused: 0 })

function sumsOver(windowMs: number): Sums {
  const side = (): Sums[SideName] => ({ good: slidingSum(windowMs), failed: slidingSum(windowMs), refused: slidingSum(windowMs) })
  return { stable: side(), canary: side() }
}
