import type { Config } from '../config/config.ts'
import { configHash, masked } from '../config/masked.ts'
import type { Status } from './status.ts'

export interface EverythingSources {
  readonly config: Config
  readonly status: Status
  readonly listening: { readonly data: readonly string[]; readonly admin: number; readonly control: number }
  readonly draining: () => boolean
  readonly alarms: () => number
  readonly heldBytes: () => number
  readonly webSockets: () => number
  /** How the config was last read again; undefined while it was not. */
  readonly reload: () => { readonly at: string; readonly errors: readonly string[] } | undefined
}

/** What the control port tells: all of `/v1/stats` and `/health`, and what stands behind them. Never a key. */
export function everything({ config, status, listening, draining, alarms, heldBytes, webSockets, reload }: EverythingSources): unknown {
  const { rss, heapUsed } = process.memoryUsage()
  return {
    ...(status.stats().json as object),
    health: status.health().json,
    state: draining() ? 'draining' : 'serving',
    listening,
    alarms: alarms(),
    web_sockets: webSockets(),
    held_bytes: heldBytes(),
    process: { pid: process.pid, node: process.version, resident_bytes: rss, heap_bytes: heapUsed },
    config: { sha256: configHash(config), document: masked(config) },
    last_reload: reload() ?? null,
  }
}
