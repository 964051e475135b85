import type { Config } from '../config/config.ts'
import { masked } from '../config/masked.ts'
import type { ConfigState } from '../proxy/reload.ts'
import type { Status } from './status.ts'

export interface EverythingSources {
  /** What calls are served with now; a reload replaces it. */
  readonly live: { readonly current: { readonly config: Config; readonly status: Status } }
  readonly listening: { readonly data: readonly string[]; readonly admin: number; readonly control: number }
  readonly draining: () => boolean
  readonly alarms: () => number
  readonly heldBytes: () => number
  readonly webSockets: () => number
  readonly pins: () => number
  readonly configState: () => ConfigState
}

/** What the control port tells: all of `/v1/stats` and `/health`, and what stands behind them. Never a key. */
export function everything({ live, listening, draining, alarms, heldBytes, webSockets, pins, configState }: EverythingSources): unknown {
  const { rss, heapUsed } = process.memoryUsage()
  const { config, status } = live.current
  const { hash, loadedMs, reloads, problems } = configState()
  return {
    ...(status.stats().json as object),
    health: status.health().json,
    state: draining() ? 'draining' : 'serving',
    listening,
    alarms: alarms(),
    web_sockets: webSockets(),
    held_bytes: heldBytes(),
    pins: pins(),
    process: { pid: process.pid, node: process.version, resident_bytes: rss, heap_bytes: heapUsed },
    config: { hash, loaded_at: new Date(loadedMs).toISOString(), reloads, last_reload_errors: problems, document: masked(config) },
  }
}
