import { readdirSync } from 'node:fs'
import type { MetricName } from './catalogue.ts'
import { healthStates, type HealthState } from '../proxy/upstream/health/tier.ts'
import { sideNames, trialStates, verdicts, type Trial } from '../proxy/canary/trial.ts'
import type { Exposition } from './tallies.ts'

/** What is asked for at each scrape rather than counted. */
export interface Readings {
  readonly now: () => number
  readonly inFlight: () => number
  readonly heldBytes: () => number
  readonly connections: () => { open: number; busy: number; waiting: number }
  readonly webSockets: () => number
  readonly droppedLines: () => number
  readonly pins: () => number
  readonly config: () => ConfigReading
  /** The config in use speaks of this model. */
  readonly isNamedModel: (model: string) => boolean
  readonly canaries: () => readonly Trial[]
  readonly upstreamStates: () => readonly { readonly upstream: string; readonly state: HealthState }[]
}

interface ConfigReading {
  readonly hash: string
  readonly loadedMs: number
  readonly reloads: Readonly<Record<string, number>>
}

export function readings({ register }: Exposition, sources: Readings, rate: () => number): void {
  const one = (name: MetricName, read: () => number | Promise<number>): void => {
    register(name, async () => [{ labels: {}, value: await read() }])
  }
  const several = (name: MetricName, label: string, read: () => Readonly<Record<string, number>>): void => {
    register(name, () => Object.entries(read()).map(([key, value]) => ({ labels: { [label]: key }, value })))
  }
  one('ai_requests_per_second', rate)
  one('outrider_in_flight', sources.inFlight)
  one('outrider_websockets', sources.webSockets)
  one('outrider_held_bytes', sources.heldBytes)
  several('outrider_connections', 'state', sources.connections)
  one('outrider_sockets', openSockets)
  one('outrider_pins', sources.pins)
  one('outrider_log_lines_dropped_total', sources.droppedLines)
  one('outrider_event_loop_lag_seconds', eventLoopLag)
  one('outrider_event_loop_busy_seconds_total', () => performance.eventLoopUtilization().active / 1_000)
  several('outrider_memory_bytes', 'kind', memory)
  several('outrider_config_reload_total', 'result', () => sources.config().reloads)
  one('outrider_config_last_success_timestamp_seconds', () => sources.config().loadedMs / 1_000)
  register('outrider_upstream_state', () =>
    sources
      .upstreamStates()
      .flatMap(({ upstream, state }) => healthStates.map((each) => ({ labels: { upstream, state: each }, value: each === state ? 1 : 0 }))),
  )
  canaryReadings(register, sources.canaries)
  register('outrider_config_info', () => [{ labels: { hash: sources.config().hash }, value: 1 }])
  one('process_resident_memory_bytes', () => process.memoryUsage.rss())
  one('process_cpu_seconds_total', () => {
    const { user, system } = process.cpuUsage()
    return (user + system) / 1e6
  })
  one('process_open_fds', openFiles)
  one('process_start_time_seconds', () => performance.timeOrigin / 1_000)
}

function canaryReadings(register: Exposition['register'], canaries: Readings['canaries']): void {
  register('outrider_canary_calls_total', () =>
    canaries().flatMap(({ route, total }) =>
      sideNames.flatMap((side) => verdicts.map((result) => ({ labels: { route, side, result }, value: total(side, result) }))),
    ),
  )
  register('outrider_canary_weight', () => canaries().map(({ route, setting }) => ({ labels: { route }, value: setting().weight })))
  register('outrider_canary_state', () =>
    canaries().flatMap(({ route, setting }) =>
      trialStates.map((state) => ({ labels: { route, state }, value: setting().state === state ? 1 : 0 })),
    ),
  )
  register('outrider_canary_rollbacks_total', () =>
    canaries().map(({ route, setting }) => ({ labels: { route }, value: setting().rollbacks })),
  )
}

/** Node's own histogram of the lag would wake an idle process a hundred times a second. */
function eventLoopLag(): Promise<number> {
  return new Promise((done) => {
    const asked = performance.now()
    setImmediate(() => {
      done((performance.now() - asked) / 1_000)
    })
  })
}

const openSockets = (): number => process.getActiveResourcesInfo().filter((kind) => kind === 'TCPSocketWrap').length

function memory(): Record<string, number> {
  const { heapUsed, heapTotal, external, arrayBuffers } = process.memoryUsage()
  return { heap_used: heapUsed, heap_total: heapTotal, external, array_buffers: arrayBuffers }
}

/** Not a number where the system does not tell. */
function openFiles(): number {
  try {
    return readdirSync('/proc/self/fd').length
  } catch {
    return Number.NaN
  }
}
