import type Registry from 'prom-client/lib/registry.js'
import { counters, histograms } from '../observe/tallies.ts'
import type { Decision } from './decide.ts'

export interface Tally {
  /** A review that was answered. */
  readonly decided: (decision: Decision, ms: number) => void
  /** One that was not. */
  readonly failed: (reason: Failure) => void
}

/** Why a review gets no answer: `failurePolicy` of the webhook says what then becomes of the pod. */
export type Failure = 'malformed' | 'too_large' | 'busy' | 'not_yet' | 'defect'

// The API server waits for seconds; an answer takes a millisecond.
const buckets = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5]

export function openTally(registry: Registry): Tally {
  const reviews = counters(registry, 'outrider_injections_total', 'Reviews of pods, by what became of them and why.')
  const duration = histograms(
    registry,
    { name: 'outrider_injection_seconds', help: 'From the last byte of a review to the first of its answer.' },
    buckets,
  )({})
  return {
    decided: ({ result, reason }, ms) => {
      reviews({ result, reason }).n++
      duration.observe(ms / 1_000)
    },
    failed: (reason) => {
      reviews({ result: 'failed', reason }).n++
    },
  }
}
