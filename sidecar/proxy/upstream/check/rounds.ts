import type { Alarm, Clock } from '../../clock.ts'
import type { Answer, Question } from './question.ts'

export interface RoundsOptions {
  readonly clock: Clock
  readonly random: () => number
  readonly intervalMs: number
  /** How often while `calm`. */
  readonly quietMs: number
  readonly ask: Question
  /** When and how the last call came out there. */
  readonly heard: (now: number) => Heard | undefined
  /** Nothing is known against it. */
  readonly calm: () => boolean
  readonly told: (answer: Answer, now: number) => void
  /** Calls are kept from it, and another good answer may end that. */
  readonly hurried: () => boolean
  /** A call has gone well since the last round: no check could say more. */
  readonly vouched: (now: number) => void
}

export interface Heard {
  readonly msAgo: number
  readonly good: boolean
}

/** Of the interval, so that sidecars that began together do not ask together for long. No setting, like the next: the interval is one. */
const spread = 0.2

/** Of the interval: long enough for what comes up to stay up, and far shorter than anybody would wait. */
const hurry = 0.2

/** Asks again and again, where calls do not tell. The answer ends it. */
export function rounds({ clock, random, intervalMs, quietMs, ask, heard, calm, told, hurried, vouched }: RoundsOptions): () => void {
  let alarm: Alarm | undefined
  let giveUp: (() => void) | undefined
  let over = false
  let askedMs = clock.now()

  const next = (ms: number): void => {
    alarm = clock.set(ms, round)
  }

  const round = (): void => {
    const now = clock.now()
    const call = heard(now)
    if (call !== undefined && call.msAgo < intervalMs) {
      if (call.good) vouched(now)
      // Never sooner than a moment, whatever the rounding.
      return next(Math.max(intervalMs - call.msAgo, intervalMs * spread * random(), 1))
    }
    if (calm() && now - askedMs < quietMs) return next(jittered())
    askedMs = now
    let answered = false
    const giving = ask((answer) => {
      answered = true
      giveUp = undefined
      if (over) return
      const later = clock.now()
      if (answer !== undefined) told(answer, later)
      // From beginning to beginning: slow answers make no check rarer.
      next(Math.max(0, askedMs + jittered() * (hurried() ? hurry : 1) - later))
    })
    if (!answered) giveUp = giving
  }

  const jittered = (): number => intervalMs * (1 + spread * (random() - 0.5))

  // Sidecars are often started together, by the hundred.
  next(intervalMs * random())
  return () => {
    over = true
    clock.clear(alarm)
    giveUp?.()
  }
}
