import type { Continues } from '../llm/resume/goOn.ts'
import type { Standing } from './standing.ts'

/** One upstream with one of its credentials: what an attempt can go to. The same object for the life of a config. */
export interface Candidate {
  readonly upstream: string
  /** Empty where it has none. */
  readonly credential: string
  /** What a log line calls the credential: its name where the upstream has several, else nothing. */
  readonly told: string
  /** What tells it from others over all configs: its names, and where it is. */
  readonly account: string
  readonly tier: number
  /** Can be changed while calls run. */
  weight: number
  /** The most attempts at a time that it serves at once. */
  readonly connections: number
  /** How it is asked to go on from the beginning of an answer. */
  readonly continues: Continues
  readonly serves: (model: string) => boolean
  /** What is known of it; outlives a config that changes nothing about it. */
  readonly standing: Standing
}
