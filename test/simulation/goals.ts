import { seconds } from './faults.ts'
import type { Figures } from './figures.ts'

/** What a run has to show. */
export type Goal = (figures: Figures) => Verdict

export interface Verdict {
  readonly text: string
  readonly shown: string
  readonly met: boolean
}

const percent = (share: number, digits = 2): string => `${(100 * share).toFixed(digits)} %`
const inSeconds = (ms: number): string => `${(ms / seconds).toFixed(1)} s`

export const answers =
  (least: number): Goal =>
  ({ answered, calls }) => ({
    text: `calls answered, at least ${percent(least)}`,
    shown: percent(answered / calls, 4),
    met: answered >= least * calls,
  })

export const attempts =
  (most: number): Goal =>
  (figures) => ({
    text: `attempts for each call, at most ${most}`,
    shown: (figures.attempts / figures.calls).toFixed(3),
    met: figures.attempts <= most * figures.calls,
  })

/** Of the calls that came while something was down. */
export const attemptsInOutages =
  (most: number): Goal =>
  ({ outages }) => {
    const worst = Math.max(...outages.map((one) => one.attempts / one.calls))
    return { text: `attempts for each call of an outage, at most ${most}`, shown: worst.toFixed(3), met: worst <= most }
  }

/** A real call goes to it again, and is answered. */
export const seenAgain =
  (withinMs: number): Goal =>
  ({ outages, lastsMs }) => {
    const ended = outages.filter(({ backMs }) => backMs + withinMs < lastsMs)
    const worst = Math.max(...ended.map(({ seenMs = Infinity }) => seenMs))
    return { text: `an upstream that is back is used within ${inSeconds(withinMs)}`, shown: inSeconds(worst), met: worst <= withinMs }
  }

/** In its first seconds, over all outages: what was down comes back with cold caches. */
export const backSlowly =
  (most: number): Goal =>
  ({ outages }) => {
    let own = 0
    let all = 0
    for (const { early } of outages) {
      own += early.own
      all += early.all
    }
    return {
      text: `share of the calls in its first 10 s, at most ${percent(most, 0)}`,
      shown: percent(own / all, 1),
      met: own <= most * all,
    }
  }

export const fewChanges =
  (most: number): Goal =>
  ({ changes, limits, outages }) => {
    const each = changes.length / Math.max(1, limits + outages.length)
    return { text: `changes of state for each fault, at most ${most}`, shown: each.toFixed(1), met: each <= most }
  }

export const noneGroundless: Goal = ({ groundless }) => ({
  text: 'changes of state without a fault: none',
  shown: String(groundless),
  met: groundless === 0,
})

/** Of what would be even among those that are well. */
export const sharesWithin =
  (least: number, most: number): Goal =>
  ({ shares }) => ({
    text: `of an even share, each that is well has ${least} to ${most} in a minute`,
    shown: `${shares.least.toFixed(2)} to ${shares.most.toFixed(2)}`,
    met: shares.minutes > 0 && shares.least >= least && shares.most <= most,
  })

/** Calls that run from one upstream to another and back show as a correlation below zero. */
export const noSwing: Goal = ({ shares }) => ({
  text: 'shares do not swing: correlation over a minute, at least -0.3',
  shown: shares.swing.toFixed(2),
  met: shares.swing >= -0.3,
})

export const shareOf =
  (upstream: string, most: number): Goal =>
  ({ attemptsAt, attempts: all }) => {
    const share = (attemptsAt.get(upstream) ?? 0) / all
    return { text: `share of attempts at ${upstream}, at most ${percent(most, 0)}`, shown: percent(share, 1), met: share <= most }
  }
