import { setTimeout as sleep } from 'node:timers/promises'
import { callBody, requestBytes } from '../upstream/wire.ts'
import { type Connection, open } from './connection.ts'
import type { CallFigures, Target } from './orders.ts'

/** A broken proxy must end a run, not fill it with connection attempts. */
const mostFailures = 200
const mostInFlight = 1_000
const graceMs = 5_000

/** Each connection sends its next call as soon as its last is answered. */
export async function closedLoop(target: Target, connections: number, ms: number): Promise<CallFigures> {
  const request = requestBytes(callBody(null), target.key, target.headers)
  const tally = tallying()
  const all = new Set<Connection>()
  const from = performance.now()
  const begin = (): Connection => {
    const connection = open(target.port)
    all.add(connection)
    return connection
  }
  const one = (): Promise<void> =>
    new Promise((resolve) => {
      let connection = begin()
      const next = (): void => {
        if (performance.now() - from >= ms || tally.failed() > mostFailures) {
          resolve()
          return
        }
        if (!connection.usable()) connection = begin()
        const sent = performance.now()
        connection.send(request, {
          end: (ok) => {
            tally.add(ok, performance.now() - sent)
            next()
          },
        })
      }
      next()
    })
  await Promise.race([Promise.all(Array.from({ length: connections }, one)), sleep(ms + graceMs, undefined, { ref: false })])
  const figures = tally.figures(performance.now() - from)
  for (const connection of all) connection.destroy()
  return figures
}

/** Calls start on a clock, however long their answers take; each takes an idle connection or opens one. */
export async function fixedRate(target: Target, perSecond: number, ms: number): Promise<CallFigures> {
  const request = requestBytes(callBody(null), target.key, target.headers)
  const tally = tallying()
  const idle: Connection[] = []
  const all = new Set<Connection>()
  const from = performance.now()
  let inFlight = 0
  const call = (): void => {
    if (inFlight >= mostInFlight) {
      tally.add(false, 0)
      return
    }
    let connection = idle.pop()
    while (connection && !connection.usable()) connection = idle.pop()
    const used = connection ?? open(target.port)
    all.add(used)
    inFlight++
    const sent = performance.now()
    used.send(request, {
      end: (ok) => {
        inFlight--
        tally.add(ok, performance.now() - sent)
        if (used.usable()) idle.push(used)
        else all.delete(used)
      },
    })
  }
  const total = Math.round((perSecond * ms) / 1_000)
  for (let started = 0; started < total && tally.failed() <= mostFailures;) {
    const due = Math.min(total, Math.floor(((performance.now() - from) * perSecond) / 1_000) + 1)
    while (started < due) {
      started++
      call()
    }
    await sleep(Math.max(1, from + (started * 1_000) / perSecond - performance.now()))
  }
  for (const until = performance.now() + graceMs; inFlight > 0 && performance.now() < until;) await sleep(5)
  for (let n = 0; n < inFlight; n++) tally.add(false, 0)
  for (const connection of all) connection.destroy()
  return tally.figures(performance.now() - from)
}

function tallying() {
  const latencies: number[] = []
  let failed = 0
  return {
    failed: () => failed,
    add: (ok: boolean, ms: number): void => {
      if (ok) latencies.push(ms)
      else failed++
    },
    figures: (elapsedMs: number): CallFigures => {
      const sorted = Float64Array.from(latencies).toSorted()
      const quantile = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
      return { calls: sorted.length, failed, p50Ms: quantile(0.5), p99Ms: quantile(0.99), perSecond: (sorted.length * 1_000) / elapsedMs }
    },
  }
}
