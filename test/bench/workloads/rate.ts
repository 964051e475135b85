import { type Lab, type Served, withAll } from '../lab.ts'
import { cpuMs } from '../measure.ts'
import type { Upstream } from '../upstream/upstream.ts'

const rates = [10, 100, 1_000] as const
type Rate = (typeof rates)[number]

/** Calls on a clock: a real sidecar is seldom warm, and what it adds to a call is what its app feels. */
export async function fixedRates(lab: Lab, name: string, upstream: Upstream): Promise<void> {
  await withAll(lab, upstream, async (served) => {
    for (const { target } of served) await lab.load.order({ do: 'rate', target, perSecond: 100, ms: lab.effort.warmMs })
    for (const perSecond of rates) {
      for (let round = 0; round < lab.effort.rateRounds; round++) await oneRound(lab, `${name} ${perSecond}/s`, served, perSecond, round)
    }
  })
}

/** What a peer adds is told against the run without a proxy of the same round. */
async function oneRound(lab: Lab, name: string, served: readonly Served[], perSecond: Rate, round: number): Promise<void> {
  let floor = Number.NaN
  for (const { name: peer, pid, target } of served) {
    const before = cpuMs(pid)
    const run = await lab.load.order({ do: 'rate', target, perSecond, ms: lab.effort.rateMs[perSecond] })
    if (pid === 0) floor = run.p50Ms
    if (pid !== 0) lab.record(name, 'cpuUs', peer, round, ((cpuMs(pid) - before) * 1_000) / run.calls)
    lab.record(name, 'p50Ms', peer, round, run.p50Ms)
    lab.record(name, 'p99Ms', peer, round, run.p99Ms)
    if (pid !== 0) lab.record(name, 'addedP50Ms', peer, round, run.p50Ms - floor)
    lab.record(name, 'failed', peer, round, run.failed)
  }
}
