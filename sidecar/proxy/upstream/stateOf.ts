import { isUsable, type Key } from '../layers/credential.ts'
import { bestOf, type HealthState } from './health/tier.ts'
import type { Standing } from './standing.ts'

/** One of the keys of an upstream, or none, and what is known of it. */
export interface Account {
  /** Its name. */
  readonly credential: string
  readonly key: Pick<Key, 'current'> | undefined
  readonly standing: Pick<Standing, 'overall'>
}

/** What is said of an upstream: one account that can be used is enough. */
export const stateOf = (accounts: readonly Account[], now: number): HealthState => bestOf(accounts.map((one) => stateOfAccount(one, now)))

/** A key that is missing is refused, without a call that would have to find that out. */
export const stateOfAccount = ({ key, standing }: Account, now: number): HealthState =>
  isUsable(key) ? standing.overall(now) : 'auth_failed'
