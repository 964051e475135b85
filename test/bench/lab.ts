import { mkdtempSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Cores } from './cores.ts'
import type { Load } from './load/load.ts'
import type { Target } from './load/orders.ts'
import type { Effort } from './options.ts'
import type { Peer } from './peers/peer.ts'
import { type Command, freePort, serve } from './processes.ts'
import type { Upstream, Upstreams } from './upstream/upstream.ts'
import { upstreamKey } from './upstream/wire.ts'

/** All that a workload needs. */
export type Lab = {
  readonly peers: readonly Peer[]
  readonly upstreams: Upstreams
  readonly load: Load
  readonly cores: Cores
  readonly dir: string
  readonly effort: Effort
  readonly flags: readonly string[]
  /** One figure of one peer in one round. */
  record(workload: string, metric: string, peer: string, round: number, value: number): void
  /** For what must stand in the report beside the figures. */
  note(text: string): void
  say(text: string): void
}

/** A peer that runs. `pid` is 0 where there is no proxy. */
export type Served = {
  readonly name: string
  readonly pid: number
  readonly startMs: number
  readonly target: Target
  stop(): Promise<void>
}

type Special = { readonly flags?: readonly string[]; readonly cores?: string }

/** Starts one peer in front of an upstream. A special start is for looking closer, not for figures. */
export async function serveOne(lab: Lab, peer: Peer, upstream: Upstream, special: Special = {}): Promise<Served> {
  const dir = mkdtempSync(join(lab.dir, `${peer.name}-`))
  const situation = { port: await freePort(), otherPort: await freePort(), upstream, dir }
  const command = peer.command(situation)
  if (command === null) {
    // The load speaks no TLS: without a proxy it talks to the plain side.
    const target = { port: lab.upstreams.plain.port, key: upstreamKey, headers: {} }
    return { name: peer.name, pid: 0, startMs: 0, target, stop: async () => {} }
  }
  const started = peer.ours ? flagged(command, [...lab.flags, ...(special.flags ?? [])]) : command
  const running = await serve(started, special.cores ?? lab.cores.proxy, situation.port, join(dir, 'stderr'))
  const target = { port: situation.port, key: 'sk-placeholder', headers: peer.headers?.(situation) ?? {} }
  return { name: peer.name, pid: running.pid, startMs: running.startMs, target, stop: () => running.stop() }
}

function flagged(command: Command, flags: readonly string[]): Command {
  return { ...command, args: [...flags, ...command.args] }
}

/** Starts all peers, leaves out those that do not do what is measured, and stops them after `work`. */
export async function withAll(lab: Lab, upstream: Upstream, work: (served: readonly Served[]) => Promise<void>): Promise<void> {
  const served: Served[] = []
  try {
    for (const peer of lab.peers) {
      const one = await attempt(lab, peer, upstream)
      if (one) served.push(one)
    }
    await work(served)
  } finally {
    await Promise.all(served.map((one) => one.stop()))
  }
}

/** A peer that was started and found to work, or null with the reason told. */
export async function attempt(lab: Lab, peer: Peer, upstream: Upstream): Promise<Served | null> {
  let one: Served | null = null
  try {
    one = await serveOne(lab, peer, upstream)
    await probe(lab, one)
    return one
  } catch (err) {
    lab.note(`${peer.name} is left out: ${err instanceof Error ? err.message : String(err)}`)
    await one?.stop()
    return null
  }
}

/** A proxy that answers wrongly, loses events or holds them back must not look fast. */
async function probe(lab: Lab, { target }: Served): Promise<void> {
  const calls = await lab.load.order({ do: 'closed', target, connections: 2, ms: 200 })
  if (calls.calls + calls.failed === 0) throw new Error('no call was answered')
  if (calls.failed > 0) throw new Error(`${calls.failed} of ${calls.calls + calls.failed} calls failed`)
  const events = 10
  const early = await lab.load.order({ do: 'open', target, streams: 1, events, everyMs: 20 })
  if (early.events > events / 2) throw new Error('it holds back the events of a stream')
  for (let left = 50; left > 0 && (await lab.load.order({ do: 'count' })).open > 0; left--) await sleep(20)
  const whole = await lab.load.order({ do: 'close' })
  if (whole.ended !== 1 || whole.events !== events + 1) throw new Error(`a stream ended after ${whole.events} of ${events + 1} events`)
}
