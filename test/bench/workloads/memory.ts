import { setTimeout as sleep } from 'node:timers/promises'
import { attempt, type Lab, type Served, serveOne } from '../lab.ts'
import { type Memory, memory } from '../measure.ts'
import type { Peer } from '../peers/peer.ts'

const openStreams = 1_000
/** 5 000 chunks a second over all of them: work for every proxy, too much for none. */
const everyMs = 200
const settleMs = 2_000
const sampleMs = 100

type Note = (state: string, memory: Memory) => void

/** Memory of a process that never had a call, that has worked flat out, and that holds 1 000 streams; each in a fresh process. */
export async function memories(lab: Lab): Promise<void> {
  for (let round = 0; round < lab.effort.memoryRounds; round++) {
    for (const peer of lab.peers) {
      if (peer.name === 'direct') continue
      const note: Note = (state, { rssMiB, anonymousMiB }) => {
        lab.record('memory', `${state}Rss`, peer.name, round, rssMiB)
        lab.record('memory', `${state}Anonymous`, peer.name, round, anonymousMiB)
      }
      await idle(lab, peer, note)
      await loaded(lab, peer, note)
      await streaming(lab, peer, note, 'streams', false)
      await streaming(lab, peer, note, 'streamsTls', true)
    }
  }
}

async function idle(lab: Lab, peer: Peer, note: Note): Promise<void> {
  const served = await serveOne(lab, peer, lab.upstreams.plain).catch(() => null)
  if (served === null) return
  await sleep(settleMs)
  note('idle', memory(served.pid))
  await served.stop()
}

async function loaded(lab: Lab, peer: Peer, note: Note): Promise<void> {
  await during(lab, peer, note, 'loaded', false, async ({ target }) => {
    await lab.load.order({ do: 'closed', target, connections: 32, ms: lab.effort.holdMs })
  })
}

async function streaming(lab: Lab, peer: Peer, note: Note, state: string, tls: boolean): Promise<void> {
  await during(lab, peer, note, state, tls, async ({ target }) => {
    await lab.load.order({ do: 'open', target, streams: openStreams, events: 1_000_000, everyMs })
    await sleep(lab.effort.holdMs)
    const { open } = await lab.load.order({ do: 'count' })
    if (open < openStreams) lab.note(`${peer.name} holds ${open} of ${openStreams} streams`)
  })
  await lab.load.order({ do: 'close' })
}

/** The most that was seen while `work` went on. */
async function during(
  lab: Lab,
  peer: Peer,
  note: Note,
  state: string,
  tls: boolean,
  work: (served: Served) => Promise<void>,
): Promise<void> {
  const served = await attempt(lab, peer, tls ? lab.upstreams.secure : lab.upstreams.plain)
  if (served === null) return
  let most: Memory = { rssMiB: 0, anonymousMiB: 0 }
  const timer = setInterval(() => {
    const now = memory(served.pid)
    if (now.rssMiB > most.rssMiB) most = now
  }, sampleMs)
  try {
    await work(served)
  } finally {
    clearInterval(timer)
    await served.stop()
  }
  note(state, most)
}
