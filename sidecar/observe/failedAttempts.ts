import { kinds, type KindName } from '../proxy/errors.ts'
import type { Facts } from '../proxy/facts.ts'
import { remembered } from './remembered.ts'
import { counters, type Exposition } from './tallies.ts'

/** Counts what went wrong at each upstream, also where the client heard nothing of it. Of a call that went well at once it looks at two numbers. */
export function failedAttempts(all: Exposition, labelOf: (status: number) => string): (facts: Facts) => void {
  const failed = counters(all, 'outrider_attempts_failed_total')
  const countOf = remembered((upstream: string) =>
    remembered((outcome: number | KindName) => failed({ upstream, outcome: typeof outcome === 'number' ? labelOf(outcome) : outcome })),
  )
  return ({ tried, answered, error, hurried, upstream }) => {
    if (tried !== undefined) {
      for (const { upstream: name, outcome } of tried) if (isFailure(outcome)) countOf(name)(outcome).n++
    }
    if (answered >= 400) countOf(upstream)(answered).n++
    // It had begun well.
    else if (answered > 0 && error !== undefined && !hurried && kinds[error].fault === 'upstream') countOf(upstream)(error).n++
  }
}

/** What was sent again over a new connection was the same attempt. */
const isFailure = (outcome: number | KindName): boolean => (typeof outcome === 'number' ? outcome >= 400 : outcome !== 'stale_connection')
