import Counter from 'prom-client/lib/counter.js'
import Gauge from 'prom-client/lib/gauge.js'
import Histogram from 'prom-client/lib/histogram.js'
import Registry from 'prom-client/lib/registry.js'
import type { Call } from '../proxy/call.ts'
import { kinds, type KindName } from '../proxy/errors.ts'
import { bounded } from './bounded.ts'
import { perSecond } from './perSecond.ts'

export interface Metrics {
  /** A call is over. */
  readonly observe: (call: Call) => void
  /** A request that never became a call was turned away. */
  readonly refused: (kind: KindName) => void
  readonly text: () => Promise<string>
  readonly contentType: string
}

/** What is asked for at each scrape rather than counted. */
export interface Readings {
  readonly now: () => number
  readonly inFlight: () => number
  readonly heldBytes: () => number
  readonly connections: () => { open: number; busy: number; waiting: number }
  readonly webSockets: () => number
}

/** A model may think for minutes, and a local one answers in milliseconds. */
const buckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600]

/** Every metric there is. Children are kept per label value, since looking them up costs more than counting. */
export function metrics(readings: Readings): Metrics {
  const registry = new Registry()
  const counter = <L extends string>(name: string, help: string, labelNames: readonly L[]): Counter<L> =>
    new Counter({ name, help, labelNames, registers: [registry] })
  const histogram = <L extends string>(name: string, help: string, labelNames: readonly L[]): Histogram<L> =>
    new Histogram({ name, help, labelNames, buckets, registers: [registry] })

  const calls = counter('outrider_calls_total', 'Calls that are over, by operation and the status the client got.', ['operation', 'status'])
  const errors = counter('outrider_errors_total', 'Failures told to clients, by kind and by whose fault they are.', ['kind', 'fault'])
  const attempts = counter('outrider_attempts_total', 'Attempts made at an upstream.', ['upstream'])
  const firstByte = histogram('outrider_first_byte_seconds', 'Time to the first byte of the answer, as the client saw it.', ['operation'])
  const bytes = counter('outrider_bytes_total', 'Bytes of bodies taken from clients and given to them.', ['direction'])
  const requests = counter('gateway_requests_total', 'Calls that are over, by model and status.', ['model', 'status'])
  const durations = histogram('gateway_request_duration_seconds', 'Duration of a call to its last byte, by model.', ['model'])
  const modelErrors = counter('gateway_model_errors_total', 'Failed calls, by model and kind.', ['model', 'error_type'])
  const selections = counter('router_selections_total', 'Calls that were sent to an upstream, by model.', ['model'])
  const routerErrors = counter('router_errors_total', 'Calls that found no usable upstream, by model and kind.', ['model', 'error'])
  const rate = perSecond(readings.now)
  gauges(registry, readings, rate.current)

  const bytesIn = bytes.labels('in')
  const bytesOut = bytes.labels('out')
  const modelOf = bounded(100, 'other')
  const callsOf = children((operation: string, status: string) => calls.labels(operation, status))
  const firstByteOf = children((operation: string) => firstByte.labels(operation))
  const attemptsOf = children((upstream: string) => attempts.labels(upstream))
  const requestsOf = children((model: string, status: string) => requests.labels(model, status))
  const durationsOf = children((model: string) => durations.labels(model))
  const selectionsOf = children((model: string) => selections.labels(model))

  const failed = (model: string, kind: KindName, sent: boolean): void => {
    errors.labels(kind, kinds[kind].fault).inc()
    modelErrors.labels(model, kind).inc()
    if (!sent && kinds[kind].fault !== 'client') routerErrors.labels(model, kind).inc()
  }

  return {
    observe: ({ facts }) => {
      const model = modelOf(facts.model === '' ? 'none' : facts.model)
      const status = String(facts.status === 0 ? 499 : facts.status)
      rate.count()
      callsOf(facts.operation, status).inc()
      requestsOf(model, status).inc()
      durationsOf(model).observe((readings.now() - facts.beganMs) / 1_000)
      if (facts.firstByteMs > 0) firstByteOf(facts.operation).observe((facts.firstByteMs - facts.beganMs) / 1_000)
      if (facts.bytesIn > 0) bytesIn.inc(facts.bytesIn)
      if (facts.bytesOut > 0) bytesOut.inc(facts.bytesOut)
      if (facts.attempts > 0) {
        attemptsOf(facts.upstream).inc(facts.attempts)
        selectionsOf(model).inc()
      }
      if (facts.error !== undefined) failed(model, facts.error, facts.headMs > 0)
    },
    refused: (kind) => {
      errors.labels(kind, kinds[kind].fault).inc()
    },
    text: () => registry.metrics(),
    contentType: registry.contentType,
  }
}

function gauges(registry: Registry, { inFlight, heldBytes, connections, webSockets }: Readings, rate: () => number): void {
  const gauge = (name: string, help: string, read: () => number): void => {
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        this.set(read())
      },
    })
  }
  gauge('ai_requests_per_second', 'Calls that ended per second, over the last minute.', rate)
  gauge('outrider_in_flight', 'Calls in flight.', inFlight)
  gauge('outrider_websockets', 'WebSockets open.', webSockets)
  gauge('outrider_held_bytes', 'Bytes of request bodies held in memory.', heldBytes)
  const states = new Gauge({
    name: 'outrider_connections',
    help: 'Connections to the upstream, and calls that wait for one.',
    labelNames: ['state'],
    registers: [registry],
    collect() {
      for (const [state, value] of Object.entries(connections())) states.set({ state }, value)
    },
  })
  gauge('process_resident_memory_bytes', 'Resident memory of the process.', () => process.memoryUsage.rss())
  gauge('process_cpu_seconds_total', 'Processor time used, user and system.', () => {
    const { user, system } = process.cpuUsage()
    return (user + system) / 1e6
  })
  gauge('process_start_time_seconds', 'Start of the process since the epoch.', () => performance.timeOrigin / 1_000)
}

/** Remembers the child of each combination of label values. */
function children<const Labels extends readonly string[], Child>(make: (...labels: Labels) => Child): (...labels: Labels) => Child {
  const known = new Map<string, Child>()
  return (...labels) => {
    const key = labels.length === 1 ? (labels[0] ?? '') : labels.join('\n')
    const child = known.get(key) ?? make(...labels)
    known.set(key, child)
    return child
  }
}
