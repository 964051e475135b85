import type { Faults } from './faults.ts'
import type { Goal } from './goals.ts'

/** A world to send calls through, and what has to come of it. */
export interface Scenario {
  readonly name: string
  readonly seed: number
  readonly calls: number
  readonly perSecond: number
  readonly upstreams: Readonly<Record<string, Faults>>
  /** Where the config differs from the defaults. */
  readonly document?: Readonly<Record<string, unknown>>
  readonly goals: readonly Goal[]
}
