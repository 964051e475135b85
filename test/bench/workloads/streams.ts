import { setTimeout as sleep } from 'node:timers/promises'
import { type Lab, type Served, withAll } from '../lab.ts'
import { cpuMs } from '../measure.ts'
import type { Upstream } from '../upstream/upstream.ts'

const streams = 100
const everyMs = 20
/** More than any run lasts: the window lies within the streams, so that it holds chunks and no calls. */
const endless = 1_000_000
const settleMs = 500

/** The chunks of 100 streams, one each 20 ms. */
export async function chunks(lab: Lab, name: string, upstream: Upstream): Promise<void> {
  await withAll(lab, upstream, async (served) => {
    for (let round = -1; round < lab.effort.rounds; round++) for (const one of served) await measure(lab, name, one, round)
  })
}

/** Round -1 is there to warm up. */
async function measure(lab: Lab, name: string, { name: peer, pid, target }: Served, round: number): Promise<void> {
  await lab.load.order({ do: 'open', target, streams, events: endless, everyMs })
  await sleep(round < 0 ? lab.effort.warmMs : settleMs)
  const from = await lab.load.order({ do: 'count' })
  const before = cpuMs(pid)
  await sleep(lab.effort.runMs)
  const used = cpuMs(pid) - before
  const to = await lab.load.order({ do: 'close' })
  if (round < 0) return
  const seen = to.events - from.events
  if (pid !== 0) lab.record(name, 'cpuUs', peer, round, (used * 1_000) / seen)
  lab.record(name, 'perSecond', peer, round, (seen * 1_000) / lab.effort.runMs)
  lab.record(name, 'failed', peer, round, streams - to.open)
}
