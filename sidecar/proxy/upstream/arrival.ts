import type { Socket } from 'node:net'
import type { Clock } from '../clock.ts'
import { SidecarError } from '../errors.ts'
import { hex, pairs, tablesOfLinux, type Tables } from '../kernelTables.ts'

export interface ArrivalOptions {
  readonly clock: Clock
  readonly writeMs: number
  readonly socket: Socket
  readonly stop: (reason: SidecarError) => void
  readonly tables?: Tables
}

/**
 * Looks once, when an answer could have begun, whether the request has arrived at all. A machine that has gone without a word acknowledges
 * nothing, and what the kernel has taken it sends again and again for a quarter of an hour. Linux lists that; elsewhere nothing is looked at.
 */
export function watchArrival({ clock, writeMs, socket, stop, tables = tablesOfLinux }: ArrivalOptions): () => void {
  let over = false
  const alarm = clock.set(writeMs, () => {
    tables().then(
      (table) => {
        if (over || table === undefined || !isUnacknowledged(table, socket)) return
        stop(
          new SidecarError(
            'write_timeout',
            `nobody acknowledged the request for ${writeMs / 1_000} s (timeouts.write): its receiver, or the way there, is gone`,
          ),
        )
      },
      () => {},
    )
  })
  return () => {
    over = true
    clock.clear(alarm)
  }
}

/** A row goes on, behind both addresses and the state, with the bytes that are sent and not acknowledged. */
function isUnacknowledged(table: string, { localAddress, localPort, remoteAddress, remotePort }: Socket): boolean {
  if (localAddress === undefined || localPort === undefined || remoteAddress === undefined || remotePort === undefined) return false
  return pairs(localAddress, remoteAddress).some(([here, there]) => {
    const row = `: ${here}:${hex(localPort)} ${there}:${hex(remotePort)} `
    const at = table.indexOf(row)
    return at >= 0 && Number.parseInt(table.slice(at + row.length + 3, at + row.length + 11), 16) > 0
  })
}
