import Counter from 'prom-client/lib/counter.js'
import Histogram from 'prom-client/lib/histogram.js'
import type Registry from 'prom-client/lib/registry.js'
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
  const registers = [registry]
  const reviews = new Counter({
    name: 'outrider_injections_total',
    help: 'Reviews of pods, by what became of them and why.',
    labelNames: ['result', 'reason'],
    registers,
  })
  const duration = new Histogram({
    name: 'outrider_injection_seconds',
    help: 'From the last byte of a review to the first of its answer.',
    buckets,
    registers,
  })
  return {
    decided: ({ result, reason }, ms) => {
      reviews.inc({ result, reason })
      duration.observe(ms / 1_000)
    },
    failed: (reason) => {
      reviews.inc({ result: 'failed', reason })
    },
  }
}
