import type { Effect } from '../llm/outcome.ts'
import { accrual } from './health/accrual.ts'
import { limitation } from './health/limitation.ts'
import type { HealthNumbers } from './health/numbers.ts'
import { probation } from './health/probation.ts'
import { terms } from './health/terms.ts'

export type HealthState = 'healthy' | 'slow_start' | 'limited' | 'probation' | 'ejected' | 'down' | 'exhausted' | 'auth_failed'

/** Given at admission, and shown again with the outcome: whether it was the call on probation, and whether anything has changed since. */
export type Pass = number

export interface News {
  /** How long the upstream asks us to wait. */
  readonly hintMs?: number | undefined
  /** Asked only when it has come to that: whether the others could do without this one. */
  readonly mayEject?: (() => boolean) | undefined
}

/** What is known of one upstream with one key and one model. Times are compared when somebody asks; nothing here rings. */
export interface Health {
  readonly state: (now: number) => HealthState
  readonly usable: (now: number) => boolean
  /**
   * Usable, and not only because its tier cannot do without it. A call that has failed once goes on to such a one alone: in an outage of all,
   * every further attempt would be in vain.
   */
  readonly sound: (now: number) => boolean
  /** Sound, and known to be: neither on probation nor at the guessed end of a limit. That is found out by calls that have attempts left. */
  readonly proven: (now: number) => boolean
  /** When it will be tried again; undefined where it is usable, or nobody knows. */
  readonly until: (now: number) => number | undefined
  /** How much of its share it may have: less than 1 in a slow start. */
  readonly ease: (now: number) => number
  /** Begins an attempt, even one at an upstream that is not usable; on probation it takes the one place. */
  readonly admit: (now: number) => Pass
  /** Ends an attempt of which nothing was learnt. */
  readonly release: (pass: Pass) => void
  readonly note: (pass: Pass, effect: Effect, now: number, news?: News) => void
  /** The host is back: an ejection has waited long enough for its one real call, which still has to go well. */
  readonly hasten: (now: number) => void
  readonly credentialChanged: () => void
  readonly reset: () => void
}

type Held = 'ejected' | 'exhausted' | 'auth_failed'

export function health(random: () => number, set: HealthNumbers): Health {
  const limit = limitation(set, random)
  const counts = accrual(set)
  const term = terms(set, random)
  const place = probation(set.longestProbeMs)
  /** Why it is out, until a call on probation goes well. */
  let held: Held | undefined
  /** So long it would be out, if its tier could do without it: then it may be well again, as on probation. */
  let sparedUntil = 0
  let heldUntil = 0
  let backAt = -Infinity
  /** Rises by two whenever what was known before counts no more. The pass of the call on probation is the odd number behind it. */
  let era = 0

  const changed = (to: Held | undefined, until = 0): void => {
    held = to
    heldUntil = until
    sparedUntil = 0
    place.leave()
    era += 2
    counts.clear()
  }

  const eject = (now: number): void => {
    changed('ejected', now + term.ejection(held === undefined ? now - backAt : 0))
  }

  const recover = (now: number): void => {
    changed(undefined)
    term.paid()
    limit.answered(now)
    backAt = now
  }

  const counted = (effect: 'good' | 'soft' | 'hard', now: number, mayEject: News['mayEject']): void => {
    if (effect === 'good') {
      sparedUntil = 0
      limit.answered(now)
      counts.good(now)
    } else if (counts.bad(effect === 'hard', now)) {
      sparedUntil = now + set.ejectionMs
      if (mayEject?.() ?? true) eject(now)
    }
  }

  const note: Health['note'] = (pass, effect, now, { hintMs, mayEject } = {}) => {
    const probe = era + 1
    if (pass === probe) place.leave()
    if (effect === 'limited') return limit.reached(hintMs, now)
    if (effect === 'brief' || (effect === 'soft' && hintMs !== undefined)) limit.brief(hintMs, now)
    // What began before it was taken out, or with another key, says nothing about it now.
    if (effect === 'brief' || effect === 'none' || pass < era) return
    if (effect === 'auth') changed('auth_failed', now + set.authMs)
    else if (effect === 'exhausted') changed('exhausted', now + term.exhaustion())
    else if (held === undefined) counted(effect, now, mayEject)
    else if (effect === 'good') recover(now)
    // A call that was let through while all were out proves recovery, but that it fails is no news.
    else if (pass === probe) eject(now)
  }

  const usable = (now: number): boolean => limit.until(now) === 0 && (held === undefined || (now >= heldUntil && !place.taken(now)))

  return {
    state: (now) => {
      const out = held !== undefined && now < heldUntil
      if (out && held !== undefined && held !== 'ejected') return held
      if (limit.until(now) !== 0) return 'limited'
      if (held !== undefined) return out ? 'ejected' : 'probation'
      return now - Math.max(backAt, limit.endedAt()) < set.slowStartMs ? 'slow_start' : 'healthy'
    },
    usable,
    sound: (now) => now >= sparedUntil && usable(now),
    proven: (now) => now >= sparedUntil && held === undefined && usable(now) && limit.proven(now),
    until: (now) => {
      const until = Math.max(held === undefined ? 0 : heldUntil, limit.until(now))
      return until > now ? until : undefined
    },
    ease: (now) => {
      limit.until(now)
      const since = now - Math.max(backAt, limit.endedAt())
      return since >= set.slowStartMs ? 1 : Math.max(set.leastEase, since / set.slowStartMs)
    },
    admit: (now) => {
      limit.admitted(now)
      if (held === undefined || now < heldUntil || place.taken(now)) return era
      place.take(now)
      return era + 1
    },
    release: (pass) => {
      if (pass === era + 1) place.leave()
    },
    note,
    hasten: (now) => {
      if (held === 'ejected') heldUntil = Math.min(heldUntil, now + set.hastenedMs * random())
      // A call that has hung since before speaks of the time before, and may hang for minutes.
      if (place.taken(now)) era += 2
      place.leave()
      term.over()
    },
    credentialChanged: () => {
      term.paid()
      if (held === 'exhausted' || held === 'auth_failed') changed(undefined)
      // What calls with the old key have still to say is about the old key.
      else if (held === undefined) era += 2
    },
    reset: () => {
      changed(undefined)
      term.reset()
      backAt = -Infinity
      limit.reset()
    },
  }
}
