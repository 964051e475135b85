import Counter from 'prom-client/lib/counter.js'
import Gauge from 'prom-client/lib/gauge.js'
import type Registry from 'prom-client/lib/registry.js'

export interface InjectorReadings {
  /** Milliseconds since the epoch, by kind. */
  readonly expiries: () => Readonly<Record<string, number>>
  /** Seconds since the API server last said something, by what is watched. */
  readonly watches: () => Readonly<Record<string, number>>
  readonly profiles: () => { readonly inUse: number; readonly refused: number }
  readonly ready: () => boolean
}

export interface InjectorMetrics {
  readonly kubeRequest: (result: string) => void
  readonly event: (result: string) => void
  readonly repaired: (entries: number) => void
}

/** What the injector says of itself; what became of the pods is counted where they are injected. */
export function injectorMetrics(registry: Registry, readings: InjectorReadings): InjectorMetrics {
  const registers = [registry]
  const byLabel = (name: string, help: string, label: string, read: () => Readonly<Record<string, number>>): void => {
    new Gauge({
      name,
      help,
      labelNames: [label],
      registers,
      collect() {
        this.reset()
        for (const [value, number] of Object.entries(read())) this.set({ [label]: value }, number)
      },
    })
  }
  byLabel('outrider_certificate_expiry_timestamp_seconds', 'When certificates of the webhook end, since the epoch.', 'kind', () =>
    Object.fromEntries(Object.entries(readings.expiries()).map(([kind, ms]) => [kind, ms / 1_000])),
  )
  byLabel(
    'outrider_watch_age_seconds',
    'Seconds since the API server last said anything about what is watched.',
    'resource',
    readings.watches,
  )
  byLabel('outrider_profiles', 'Profiles in use, and ConfigMaps whose profile is refused.', 'state', () => {
    const { inUse, refused } = readings.profiles()
    return { in_use: inUse, refused }
  })
  new Gauge({
    name: 'outrider_injector_ready',
    help: 'Whether the API server would trust this replica, and all that it needs is there.',
    registers,
    collect() {
      this.set(readings.ready() ? 1 : 0)
    },
  })
  const kubeRequests = new Counter({
    name: 'outrider_kube_requests_total',
    help: 'Requests to the API server, by the status of the answer.',
    labelNames: ['result'],
    registers,
  })
  const events = new Counter({ name: 'outrider_events_total', help: 'Events, by what became of them.', labelNames: ['result'], registers })
  const repairs = new Counter({
    name: 'outrider_ca_bundle_repairs_total',
    help: 'Entries of the webhook whose caBundle was written.',
    registers,
  })
  return {
    kubeRequest: (result) => {
      kubeRequests.inc({ result })
    },
    event: (result) => {
      events.inc({ result })
    },
    repaired: (entries) => {
      repairs.inc(entries)
    },
  }
}
