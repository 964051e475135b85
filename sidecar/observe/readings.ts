import Counter from 'prom-client/lib/counter.js'
import Gauge from 'prom-client/lib/gauge.js'
import type Registry from 'prom-client/lib/registry.js'

/** What is asked for at each scrape rather than counted. */
export interface Readings {
  readonly now: () => number
  readonly inFlight: () => number
  readonly heldBytes: () => number
  readonly connections: () => { open: number; busy: number; waiting: number }
  readonly webSockets: () => number
  readonly droppedLines: () => number
  readonly config: () => ConfigReading
}

interface ConfigReading {
  readonly hash: string
  readonly loadedMs: number
  readonly reloads: Readonly<Record<string, number>>
}

export function readings(registry: Registry, sources: Readings, rate: () => number): void {
  const registers = [registry]
  const gauge = (name: string, help: string, read: () => number): void => {
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read())
      },
    })
  }
  /** For a total that somebody else keeps. */
  const total = (name: string, help: string, read: () => number): void => {
    new Counter({
      name,
      help,
      registers,
      collect() {
        this.reset()
        this.inc(read())
      },
    })
  }
  gauge('ai_requests_per_second', 'Calls that ended per second, over the last minute.', rate)
  gauge('outrider_in_flight', 'Calls in flight.', sources.inFlight)
  gauge('outrider_websockets', 'WebSockets open.', sources.webSockets)
  gauge('outrider_held_bytes', 'Bytes of request bodies held in memory.', sources.heldBytes)
  new Gauge({
    name: 'outrider_connections',
    help: 'Connections to the upstream, and calls that wait for one.',
    labelNames: ['state'],
    registers,
    collect() {
      for (const [state, value] of Object.entries(sources.connections())) this.set({ state }, value)
    },
  })
  total('outrider_log_lines_dropped_total', 'Log lines lost because nobody took them from standard output.', sources.droppedLines)
  new Counter({
    name: 'outrider_config_reload_total',
    help: 'Times the config was read again: applied, unchanged, or refused as a whole.',
    labelNames: ['result'],
    registers,
    collect() {
      this.reset()
      for (const [result, times] of Object.entries(sources.config().reloads)) this.inc({ result }, times)
    },
  })
  gauge(
    'outrider_config_last_success_timestamp_seconds',
    'When the config was last read and found good, since the epoch.',
    () => sources.config().loadedMs / 1_000,
  )
  new Gauge({
    name: 'outrider_config_info',
    help: 'Always 1; the label tells configs apart.',
    labelNames: ['hash'],
    registers,
    collect() {
      this.reset()
      this.set({ hash: sources.config().hash }, 1)
    },
  })
  gauge('process_resident_memory_bytes', 'Resident memory of the process.', () => process.memoryUsage.rss())
  total('process_cpu_seconds_total', 'Processor time used, user and system.', () => {
    const { user, system } = process.cpuUsage()
    return (user + system) / 1e6
  })
  gauge('process_start_time_seconds', 'Start of the process since the epoch.', () => performance.timeOrigin / 1_000)
}
