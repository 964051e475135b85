import type { Call } from '../proxy/call.ts'
import { kinds, type KindName } from '../proxy/errors.ts'
import type { Facts } from '../proxy/facts.ts'
import { isSampled } from '../proxy/trace.ts'
import { bounded } from './bounded.ts'
import { additions, durations } from './catalogue.ts'
import { failedAttempts } from './failedAttempts.ts'
import { formatFor } from './formatFor.ts'
import { genAi } from './genAi.ts'
import { perSecond } from './perSecond.ts'
import { readings, type Readings } from './readings.ts'
import { remembered } from './remembered.ts'
import { statusOf } from './statusOf.ts'
import { contentTypes, counters, exposition, histograms, type Count } from './tallies.ts'
import { upstreamCounts, type UpstreamCounts } from './upstreamCounts.ts'

export interface Metrics extends UpstreamCounts {
  /** A call is over; `url` is its upstream's. */
  readonly observe: (call: Call, url: URL) => void
  /** A request that never became a call was turned away. */
  readonly refused: (kind: KindName) => void
  /** All of them, in the format that the scraper's `Accept` prefers. */
  readonly tell: (accept?: string) => Promise<{ readonly type: string; readonly text: string }>
}

const mostModels = 100
const mostStatuses = 40

/** Counts what the catalogue names. Children are kept per label value, since looking them up costs more than counting. */
export function metrics(sources: Readings): Metrics {
  const { now } = sources
  const all = exposition(now)
  const calls = counters(all, 'outrider_calls_total')
  const errors = counters(all, 'outrider_errors_total')
  const attempts = counters(all, 'outrider_attempts_total')
  const firstByte = histograms(all, 'outrider_first_byte_seconds', durations)
  const added = histograms(all, 'outrider_added_seconds', additions)
  const tokens = counters(all, 'outrider_tokens_total')
  const bytes = counters(all, 'outrider_bytes_total')
  const byModel = <Item>(make: (model: string) => Item) => bounded(mostModels, 'other', make, sources.isNamedModel)
  const genAiOf = genAi(all, byModel)
  const requests = counters(all, 'gateway_requests_total')
  const gatewayDurations = histograms(all, 'gateway_request_duration_seconds', durations)
  const modelErrors = counters(all, 'gateway_model_errors_total')
  const selections = counters(all, 'router_selections_total')
  const routerErrors = counters(all, 'router_errors_total')
  const rate = perSecond(now)
  readings(all, sources, rate.current)

  const bytesIn = bytes({ direction: 'in' })
  const bytesOut = bytes({ direction: 'out' })
  const addedToCall = added({ to: 'call' })
  const addedToFirstByte = added({ to: 'first_byte' })
  const labelOf = remembered(statusLabels())
  const countFailed = failedAttempts(all, labelOf)
  const modelOf = byModel((model) => ({
    requests: remembered((status: number) => requests({ model, status: labelOf(status) })),
    duration: gatewayDurations({ model }),
    selections: selections({ model }),
    tokens: remembered((type: string) => tokens({ model, type })),
    failed: remembered((type: string) => modelErrors({ model, error_type: type })),
    notSent: remembered((kind: KindName) => routerErrors({ model, error: kind })),
  }))
  const operationOf = remembered((operation: string) => ({
    calls: remembered((status: number) => calls({ operation, status: labelOf(status) })),
    firstByte: firstByte({ operation }),
  }))
  const attemptsOf = remembered((upstream: string) => attempts({ upstream }))
  const errorsOf = remembered((kind: KindName) => errors({ kind, fault: kinds[kind].fault }))

  const observeAdded = (facts: Facts, trace: string | undefined): void => {
    if (facts.attempts === 0 || facts.firstByteMs === 0) return
    addedToFirstByte.observe(facts.ownMs / 1_000, trace, facts.overMs)
    if (facts.error === undefined) addedToCall.observe(addedMs(facts) / 1_000, trace, facts.overMs)
  }
  const countTokens = (count: (type: string) => { n: number }, { usage }: Facts): void => {
    if (usage === undefined) return
    if (usage.input > 0) count('input').n += usage.input
    if (usage.output > 0) count('output').n += usage.output
    if (usage.cached > 0) count('cached').n += usage.cached
    if (usage.reasoning > 0) count('reasoning').n += usage.reasoning
  }

  return {
    ...upstreamCounts(all),
    observe: (call, url) => {
      const { facts } = call
      const { error, overMs } = facts
      const seconds = (overMs - facts.beganMs) / 1_000
      const trace = isSampled(facts.trace) ? facts.trace.id : undefined
      const model = modelOf(facts.model === '' ? 'none' : facts.model)
      const operation = operationOf(facts.operation)
      const status = statusOf(facts)
      // Whoever looks after us asks these, how much there is to do for models or not.
      if (facts.operation !== 'health' && facts.operation !== 'stats') rate.count(overMs)
      operation.calls(status).n++
      model.requests(status).n++
      model.duration.observe(seconds)
      if (facts.firstByteMs > 0) operation.firstByte.observe((facts.firstByteMs - facts.beganMs) / 1_000, trace, overMs)
      bytesIn.n += facts.bytesIn
      bytesOut.n += facts.bytesOut
      observeAdded(facts, trace)
      countTokens(model.tokens, facts)
      if (facts.attempts > 0) {
        countAttempts(facts, attemptsOf)
        countFailed(facts)
        model.selections.n++
      }
      // An error of the model's own passes as it came.
      genAiOf(facts, url, { seconds, errorType: error ?? (status < 400 ? '' : labelOf(status)), trace })
      if (error === undefined) {
        if (status >= 400) model.failed(`status_${labelOf(status)}`).n++
        return
      }
      errorsOf(error).n++
      model.failed(error).n++
      if (facts.headMs === 0 && kinds[error].fault !== 'client') model.notSent(error).n++
    },
    refused: (kind) => {
      errorsOf(kind).n++
    },
    tell: async (accept = '') => {
      const format = formatFor(accept)
      return { type: contentTypes[format], text: await all.text(format) }
    },
  }
}

/**
 * Nothing of what a slow client takes to read its answer is ours, nor what came behind the end of another attempt's answer. An answer may be at
 * its end before its first byte is passed on, and up to that byte all is counted already.
 */
export const addedMs = ({ ownMs, headMs, firstByteMs, endedMs, overMs, slowClient }: Facts): number =>
  endedMs === 0 || endedMs < headMs || slowClient ? ownMs : ownMs + overMs - Math.max(endedMs, firstByteMs)

/** Upstreams may invent statuses: after the first few they are counted by their hundred. */
function statusLabels(): (status: number) => string {
  let different = 0
  return (status) => (++different > mostStatuses ? `${Math.floor(status / 100)}xx` : String(status))
}

function countAttempts({ tried = [], attempts, upstream }: Facts, countOf: (upstream: string) => Count): void {
  let rest = attempts
  for (const one of tried) {
    // What was sent again over a new connection was the same attempt.
    if (one.outcome === 'stale_connection') continue
    countOf(one.upstream).n++
    rest--
  }
  if (rest > 0) countOf(upstream).n += rest
}
