import type { Health, HealthState } from '../health.ts'

type Asked = Pick<Health, 'state' | 'usable' | 'until'>

/**
 * Whether `one` may be ejected from its tier: where a lower tier can take over, always (`most` is Infinity then); else never the last that is usable,
 * and no more than `most` of the tier, a share. A bad upstream is better than none, and when many fail at once it is rarely their fault.
 */
export function mayEject(one: Asked, tier: readonly Asked[], most: number, now: number): boolean {
  if (most === Infinity) return true
  let ejected = 1
  let othersUsable = false
  for (const other of tier) {
    if (other === one) continue
    const state = other.state(now)
    if (state === 'ejected' || state === 'probation') ejected++
    else othersUsable ||= other.usable(now)
  }
  return othersUsable && ejected <= most * tier.length
}

/** From the best to the worst: those behind `failing` get fewer calls, or none. A limit goes by within seconds and an ejection is a guess; an account without money is none. */
export const healthStates: readonly HealthState[] = [
  'healthy',
  'slow_start',
  'failing',
  'limited',
  'probation',
  'ejected',
  'down',
  'exhausted',
  'auth_failed',
]

/** Where a call goes when nothing is usable: to the least bad, soonest to be tried again; nowhere where every key was refused. */
export function leastBad<Item extends Asked>(all: readonly Item[], now: number): Item | undefined {
  let best: Item | undefined
  let least = Infinity
  let soonest = Infinity
  for (const one of all) {
    const badness = healthStates.indexOf(one.state(now))
    if (badness === healthStates.length - 1) continue
    const until = one.until(now) ?? now
    if (badness > least || (badness === least && until >= soonest)) continue
    best = one
    least = badness
    soonest = until
  }
  return best
}

/** What is said of an upstream of which several things are known: the worst of them. */
export function worstOf(states: Iterable<HealthState>): HealthState {
  let worst: HealthState = 'healthy'
  for (const state of states) if (healthStates.indexOf(state) > healthStates.indexOf(worst)) worst = state
  return worst
}

/** What is said of an upstream with several accounts: one that can be used is enough. */
export function bestOf(states: readonly HealthState[]): HealthState {
  return healthStates.find((state) => states.includes(state)) ?? 'healthy'
}

export type { HealthState } from '../health.ts'
