import type { Unrepeated } from '../proxy/unrepeated.ts'
import type { Change } from '../proxy/upstream/standing.ts'
import type { Way } from '../proxy/upstream/takeOver.ts'
import { remembered } from './remembered.ts'
import { counters, type Exposition } from './tallies.ts'

/** What is counted of upstreams, beside calls that are over. */
export interface UpstreamCounts {
  /** A call that failed was not tried again. */
  readonly unrepeated: (why: Unrepeated) => void
  /** An attempt that had taken up a broken stream is over. */
  readonly resumed: (way: Way, well: boolean) => void
  /** An upstream was checked. */
  readonly checked: (upstream: string, well: boolean) => void
  /** What is known of one has changed. */
  readonly changed: (change: Pick<Change, 'upstream' | 'to'>) => void
}

export function upstreamCounts(all: Exposition): UpstreamCounts {
  const retriesRefused = counters(all, 'outrider_retries_refused_total')
  const resumes = counters(all, 'outrider_resumes_total')
  const checks = counters(all, 'outrider_checks_total')
  const changes = counters(all, 'outrider_upstream_changes_total')
  const unrepeated = remembered((reason: Unrepeated) => retriesRefused({ reason }))
  return {
    unrepeated: (why) => {
      unrepeated(why).n++
    },
    // These come a few times a minute at most: looked up each time.
    resumed: (way, well) => {
      resumes({ way, result: well ? 'resumed' : 'failed' }).n++
    },
    checked: (upstream, well) => {
      checks({ upstream, result: well ? 'good' : 'failed' }).n++
    },
    changed: ({ upstream, to }) => {
      changes({ upstream, state: to }).n++
    },
  }
}
