import { type Lab, serveOne } from '../lab.ts'
import { cpuMs } from '../measure.ts'

/** From the start of the process to the first connection that it accepts, on its one core. */
export async function starts(lab: Lab): Promise<void> {
  const broken = new Set<string>(['direct'])
  for (let round = 0; round < lab.effort.starts; round++) {
    for (const peer of lab.peers) {
      if (broken.has(peer.name)) continue
      try {
        const served = await serveOne(lab, peer, lab.upstreams.plain)
        lab.record('start', 'listeningMs', peer.name, round, served.startMs)
        lab.record('start', 'cpuMs', peer.name, round, cpuMs(served.pid))
        await served.stop()
      } catch (err) {
        broken.add(peer.name)
        lab.note(`${peer.name} is left out: ${err instanceof Error ? err.message : String(err)}`)
      }
    }
  }
}
