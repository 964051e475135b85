import type { Health } from '../health.ts'
import { checks } from './checks.ts'
import type { HealthNumbers } from './numbers.ts'

/** The health of something that is asked how it is while no calls tell. */
export interface CheckedHealth extends Health {
  /**
   * An active check. One that goes well clears no ejection: that the upstream answers says nothing of its models. True where it is back after
   * checks that failed.
   */
  readonly checked: (well: boolean, now: number) => boolean
  /** A check that failed, perhaps because it asked for something that is not there. */
  readonly doubted: () => void
}

/** What calls say, unless checks say that it is down. */
export function checkedHealth(calls: Health, set: HealthNumbers): CheckedHealth {
  const active = checks(set)
  let upAt = -Infinity
  return {
    ...calls,
    state: (now) => {
      if (active.down()) return 'down'
      const state = calls.state(now)
      return state === 'healthy' && now - upAt < set.slowStartMs ? 'slow_start' : state
    },
    usable: (now) => !active.down() && calls.usable(now),
    sound: (now) => !active.down() && calls.sound(now),
    proven: (now) => !active.down() && calls.proven(now),
    until: (now) => (active.down() ? undefined : calls.until(now)),
    ease: (now) => {
      const since = now - upAt
      const ease = calls.ease(now)
      return since >= set.slowStartMs ? ease : Math.min(ease, Math.max(set.leastEase, since / set.slowStartMs))
    },
    checked: (well, now) => {
      const wasDown = active.down()
      const back = active.checked(well)
      if (wasDown && !active.down()) upAt = now
      return back
    },
    doubted: active.doubted,
    reset: () => {
      calls.reset()
      active.reset()
      upAt = -Infinity
    },
  }
}
