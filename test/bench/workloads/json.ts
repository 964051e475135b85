import { type Lab, type Served, withAll } from '../lab.ts'
import { cpuMs } from '../measure.ts'
import type { Upstream } from '../upstream/upstream.ts'

const connections = 32

/** Calls of 1 KB, answers of 1.5 KB, as fast as 32 connections get them. */
export async function json(lab: Lab, name: string, upstream: Upstream): Promise<void> {
  await withAll(lab, upstream, async (served) => {
    for (const { target } of served) await lab.load.order({ do: 'closed', target, connections, ms: lab.effort.warmMs })
    for (let round = 0; round < lab.effort.rounds; round++) for (const one of served) await measure(lab, name, one, round)
  })
}

async function measure(lab: Lab, name: string, { name: peer, pid, target }: Served, round: number): Promise<void> {
  const before = cpuMs(pid)
  const run = await lab.load.order({ do: 'closed', target, connections, ms: lab.effort.runMs })
  if (pid !== 0) lab.record(name, 'cpuUs', peer, round, ((cpuMs(pid) - before) * 1_000) / run.calls)
  lab.record(name, 'perSecond', peer, round, run.perSecond)
  lab.record(name, 'p50Ms', peer, round, run.p50Ms)
  lab.record(name, 'p99Ms', peer, round, run.p99Ms)
  lab.record(name, 'failed', peer, round, run.failed)
}
