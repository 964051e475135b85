import Registry from 'prom-client/lib/registry.js'
import type { Call } from '../proxy/call.ts'
import { kinds, type KindName } from '../proxy/errors.ts'
import { bounded } from './bounded.ts'
import { perSecond } from './perSecond.ts'
import { readings, type Readings } from './readings.ts'
import { statusOf } from './statusOf.ts'
import { counters, histograms } from './tallies.ts'

export interface Metrics {
  /** A call is over. */
  readonly observe: (call: Call) => void
  /** A request that never became a call was turned away. */
  readonly refused: (kind: KindName) => void
  readonly text: () => Promise<string>
  readonly contentType: string
}

/** A model may think for minutes, and a local one answers in milliseconds. */
const buckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600]

const mostModels = 100
const mostStatuses = 40

/** Every metric there is. Children are kept per label value, since looking them up costs more than counting. */
export function metrics(sources: Readings): Metrics {
  const { now } = sources
  const registry = new Registry()
  const counter = (name: string, help: string) => counters(registry, name, help)
  const histogram = (name: string, help: string) => histograms(registry, { name, help }, buckets)

  const calls = counter('outrider_calls_total', 'Calls that are over, by operation and the status the client got.')
  const errors = counter('outrider_errors_total', 'Failures told to clients, by kind and by whose fault they are.')
  const attempts = counter('outrider_attempts_total', 'Attempts made at an upstream.')
  const firstByte = histogram('outrider_first_byte_seconds', 'Time to the first byte of the answer, as the client saw it.')
  const bytes = counter('outrider_bytes_total', 'Bytes of bodies taken from clients and given to them.')
  const requests = counter('gateway_requests_total', 'Calls that are over, by model and status.')
  const durations = histogram('gateway_request_duration_seconds', 'Duration of a call to its last byte, by model.')
  const modelErrors = counter('gateway_model_errors_total', 'Calls that failed, by model and kind or status.')
  const selections = counter('router_selections_total', 'Calls that were sent to an upstream, by model.')
  const routerErrors = counter('router_errors_total', 'Calls that found no usable upstream, by model and kind.')
  const rate = perSecond(now)
  readings(registry, sources, rate.current)

  const bytesIn = bytes({ direction: 'in' })
  const bytesOut = bytes({ direction: 'out' })
  const labelOf = remembered(statusLabels())
  const modelOf = bounded(mostModels, 'other', (model) => ({
    requests: remembered((status: number) => requests({ model, status: labelOf(status) })),
    duration: durations({ model }),
    selections: selections({ model }),
    failed: remembered((type: string) => modelErrors({ model, error_type: type })),
    notSent: remembered((kind: KindName) => routerErrors({ model, error: kind })),
  }))
  const operationOf = remembered((operation: string) => ({
    calls: remembered((status: number) => calls({ operation, status: labelOf(status) })),
    firstByte: firstByte({ operation }),
  }))
  const attemptsOf = remembered((upstream: string) => attempts({ upstream }))
  const errorsOf = remembered((kind: KindName) => errors({ kind, fault: kinds[kind].fault }))

  return {
    observe: ({ facts }) => {
      const model = modelOf(facts.model === '' ? 'none' : facts.model)
      const operation = operationOf(facts.operation)
      const status = statusOf(facts)
      rate.count()
      operation.calls(status).n++
      model.requests(status).n++
      model.duration.observe((now() - facts.beganMs) / 1_000)
      if (facts.firstByteMs > 0) operation.firstByte.observe((facts.firstByteMs - facts.beganMs) / 1_000)
      bytesIn.n += facts.bytesIn
      bytesOut.n += facts.bytesOut
      if (facts.attempts > 0) {
        attemptsOf(facts.upstream).n += facts.attempts
        model.selections.n++
      }
      const { error } = facts
      if (error === undefined) {
        // An error of the model's own, which passes as it came.
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
    text: () => registry.metrics(),
    contentType: registry.contentType,
  }
}

/** Upstreams may invent statuses: after the first few they are counted by their hundred. */
function statusLabels(): (status: number) => string {
  let different = 0
  return (status) => (++different > mostStatuses ? `${Math.floor(status / 100)}xx` : String(status))
}

/** Makes what belongs to each key once. */
function remembered<Key, Item>(make: (key: Key) => Item): (key: Key) => Item {
  const known = new Map<Key, Item>()
  return (key) => {
    const seen = known.get(key)
    if (seen !== undefined) return seen
    const item = make(key)
    known.set(key, item)
    return item
  }
}
