import { setTimeout as sleep } from 'node:timers/promises'
import { callBody, requestBytes } from '../upstream/wire.ts'
import { type Connection, open } from './connection.ts'
import type { StreamFigures, Target } from './orders.ts'

/** Fewer than any listen backlog, so that no connection waits for its SYN to be sent again. */
const openedAtOnce = 50
const longestOpeningMs = 30_000

const connections = new Set<Connection>()
let figures = { open: 0, events: 0, ended: 0, failed: 0 }

/** Opens streams and returns when each has sent its first event, ended or failed. */
export async function openStreams(target: Target, streams: number, events: number, everyMs: number): Promise<StreamFigures> {
  closeStreams()
  const tally = { open: 0, events: 0, ended: 0, failed: 0 }
  figures = tally
  const request = requestBytes(callBody({ events, everyMs }), target.key, target.headers)
  let begun = 0
  for (let n = 0; n < streams; n++) {
    if (n % openedAtOnce === 0) await sleep(20)
    const connection = open(target.port)
    let first = true
    const begin = (): void => {
      if (first) begun++
      first = false
    }
    connections.add(connection)
    tally.open++
    connection.send(request, {
      events: (count) => {
        begin()
        tally.events += count
      },
      end: (ok) => {
        begin()
        tally.open--
        tally[ok ? 'ended' : 'failed']++
        connections.delete(connection)
        connection.destroy()
      },
    })
  }
  for (const until = performance.now() + longestOpeningMs; begun < streams && performance.now() < until;) await sleep(5)
  return { ...tally }
}

export function countStreams(): StreamFigures {
  return { ...figures }
}

export function closeStreams(): StreamFigures {
  const last = { ...figures }
  for (const connection of connections) connection.destroy()
  connections.clear()
  return last
}
