import type { Effect } from '../llm/outcome.ts'

/** `limited`, `exhausted` and `auth_failed` are no ill health: the upstream is there, and says when or why not now. */
export type State = 'healthy' | 'slow_start' | 'limited' | 'exhausted' | 'auth_failed' | 'ejected' | 'probation' | 'down'

export interface HealthOptions {
  readonly failures: number
  readonly successRate: number
  readonly minimumCalls: number
  readonly windowMs: number
  readonly ejectionMs: number
  readonly longestEjectionMs: number
  readonly slowStartMs: number
  readonly authProbeMs: number
  readonly exhaustedMs: number
  readonly longestExhaustedMs: number
  readonly random: () => number
  /** Hears each change of state once. */
  readonly changed: (from: State, to: State, why: string) => void
}

/** What is known from attempts and checks; asked at every attempt, so it compares times and sets no timer. */
export interface Health {
  readonly note: (effect: Effect, what: string, hintMs: number | undefined, now: number) => void
  readonly usable: (now: number) => boolean
  /** An attempt begins: in probation it is the only one. */
  readonly began: (now: number) => void
  /** It ended without a word about the upstream. */
  readonly released: () => void
  readonly state: (now: number) => State
  /** How long until it may be called again; zero where it may be. */
  readonly untilUsable: (now: number) => number
  /** Its share of calls, from nearly nothing to all, while it is coming back. */
  readonly ease: (now: number) => number
  /** An active check went over to this. */
  readonly checked: (up: boolean, now: number) => void
  /** The credential has changed, or somebody said so: what was is forgotten. */
  readonly reset: (now: number) => void
}

const leastEase = 0.1
/** A throttled upstream without a hint is left alone for a second, and twice as long each time, up to this. */
const longestLimitMs = 60_000
/** Failures of calls that began before an ejection arrive behind it. */
const jitter = 0.2

export function health(options: HealthOptions): Health {
  let state: State = 'healthy'
  let untilMs = 0
  let failuresInARow = 0
  let ejections = 0
  let limits = 0
  let bills = 0
  let probing = false
  let down = false
  let upSinceMs = -Infinity
  /** Ends of attempts in the window, oldest first; negative where they failed. */
  const ends: { at: number; good: boolean }[] = []

  const go = (to: State, why: string): void => {
    if (to === state) return
    const from = state
    state = to
    options.changed(from, to, why)
  }
  /** What time alone changes. */
  const settle = (now: number): void => {
    if (state === 'healthy' || state === 'probation' || now < untilMs) return
    if (state === 'ejected' || state === 'auth_failed' || state === 'exhausted') {
      probing = false
      go('probation', 'its time is up')
    } else if (state === 'limited') returning(now, 'its limit is over')
    else go('healthy', 'it has served its share')
  }
  const returning = (now: number, why: string): void => {
    if (options.slowStartMs === 0) return go('healthy', why)
    upSinceMs = now
    untilMs = now + options.slowStartMs
    go('slow_start', why)
  }
  const leave = (to: 'ejected' | 'exhausted' | 'auth_failed' | 'limited', ms: number, [why, now]: [string, number]): void => {
    untilMs = now + ms
    go(to, why)
  }
  const eject = (why: string, now: number): void => {
    const ms = Math.min(options.longestEjectionMs, options.ejectionMs * 2 ** Math.min(ejections, 20))
    ejections++
    failuresInARow = 0
    ends.length = 0
    leave('ejected', ms * (1 + jitter * options.random()), [why, now])
  }
  const tooMany = (now: number): boolean => {
    while (ends[0] !== undefined && (ends[0].at < now - options.windowMs || ends.length > 1_000)) ends.shift()
    if (ends.length < options.minimumCalls) return false
    return ends.filter(({ good }) => good).length / ends.length < options.successRate
  }

  const good = (now: number): void => {
    failuresInARow = 0
    // Kept only while there is something to compare with.
    if (ends.length > 0) ends.push({ at: now, good: true })
    if (state === 'healthy') {
      if (ejections > 0 && now - upSinceMs > options.longestEjectionMs) ejections = 0
      limits = 0
      return
    }
    if (state === 'probation') {
      bills = 0
      returning(now, 'an attempt succeeded')
    }
  }
  const bad = (what: string, hard: boolean, now: number): void => {
    if (hard) failuresInARow++
    ends.push({ at: now, good: false })
    if (state === 'probation') return eject(`${what} in probation`, now)
    if (state !== 'healthy' && state !== 'slow_start') return
    if (failuresInARow >= options.failures) eject(`${failuresInARow} failures in a row, the last ${what}`, now)
    else if (tooMany(now)) eject(`fewer than ${options.successRate * 100} % of attempts succeeded, the last ended in ${what}`, now)
  }

  return {
    note: (effect, what, hintMs, now) => {
      settle(now)
      probing = false
      if (effect === 'good') good(now)
      else if (effect === 'hard') bad(what, true, now)
      else if (effect === 'soft') {
        bad(what, false, now)
        if (hintMs !== undefined && (state === 'healthy' || state === 'slow_start')) leave('limited', Math.min(hintMs, longestLimitMs), [what, now])
      } else if (effect === 'limited') {
        failuresInARow = 0
        const ms = hintMs ?? Math.min(longestLimitMs, 1_000 * 2 ** Math.min(limits, 10))
        limits++
        if (state !== 'limited' || now + ms > untilMs) leave('limited', Math.max(ms, 1), [what, now])
      } else if (effect === 'exhausted') {
        leave('exhausted', Math.min(options.longestExhaustedMs, options.exhaustedMs * 2 ** Math.min(bills, 10)), [what, now])
        bills++
      } else if (effect === 'refused') leave('auth_failed', options.authProbeMs, [what, now])
    },
    usable: (now) => {
      if (state === 'healthy') return !down
      settle(now)
      return !down && (state === 'healthy' || state === 'slow_start' || (state === 'probation' && !probing))
    },
    began: (now) => {
      settle(now)
      if (state === 'probation') probing = true
    },
    released: () => {
      probing = false
    },
    state: (now) => {
      settle(now)
      return down && state !== 'ejected' ? 'down' : state
    },
    untilUsable: (now) => {
      settle(now)
      if (down) return Infinity
      return state === 'healthy' || state === 'slow_start' || state === 'probation' ? 0 : Math.max(0, untilMs - now)
    },
    ease: (now) => {
      if (state === 'healthy') return 1
      settle(now)
      return state === 'slow_start' ? Math.max(leastEase, Math.min(1, (now - upSinceMs) / options.slowStartMs)) : 1
    },
    checked: (up, now) => {
      if (up !== down) return
      down = !up
      options.changed(down ? state : 'down', down ? 'down' : state, down ? 'checks failed' : 'checks succeed')
      if (up && state === 'healthy') returning(now, 'checks succeed')
    },
    reset: (now) => {
      probing = false
      failuresInARow = 0
      ejections = 0
      limits = 0
      bills = 0
      ends.length = 0
      if (state !== 'healthy') {
        untilMs = now
        go('healthy', 'reset')
      }
    },
  }
}
