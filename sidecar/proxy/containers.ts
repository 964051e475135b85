import { readdirSync, readFileSync } from 'node:fs'
import type { Alarm, Clock } from './clock.ts'

export interface ContainersOptions {
  readonly clock: Clock
  /** How many there are beside this one. */
  readonly count: number
  readonly say: (level: 'warn', message: string) => void
  /** Called once, when each has been seen and none runs any more. */
  readonly ended: () => void
}

// A program that does next to nothing is over in a moment, and must have been seen; its end is waited for, and a second does not matter.
const seekMs = 50
const watchMs = 1_000

/** Watches the other containers of a pod whose containers see each other's processes. The answer stops it. */
export function watchContainers({ clock, count, say, ended }: ContainersOptions): () => void {
  if (process.pid === 1) {
    say('warn', 'drain.afterContainers has no effect: the containers of this pod do not share their processes')
    return () => {}
  }
  const seen = new Set<string>()
  let alarm: Alarm | undefined
  const look = (): void => {
    const running = runningContainers()
    for (const one of running) seen.add(one)
    if (seen.size >= count && running.size === 0) ended()
    else alarm = clock.set(seen.size < count ? seekMs : watchMs, look)
  }
  look()
  return () => {
    clock.clear(alarm)
  }
}

/**
 * A container is known by its cgroup, which everybody may read: so what is executed in ours does not count, and users may be the same. The first
 * process holds the namespace and is of no container.
 */
function runningContainers(): ReadonlySet<string> {
  const ours = cgroupOf('self')
  const others = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && name !== '1')
  const cgroups = others.map((pid) => cgroupOf(pid)).filter((one) => one !== undefined && one !== ours)
  return new Set(cgroups as string[])
}

/** Undefined for a process that is gone, or of which only the exit code is left. */
function cgroupOf(pid: string): string | undefined {
  try {
    const isZombie = /^\d+ \(.*\) [ZX]/s.test(readFileSync(`/proc/${pid}/stat`, 'latin1'))
    return isZombie ? undefined : readFileSync(`/proc/${pid}/cgroup`, 'latin1')
  } catch {
    return undefined
  }
}
