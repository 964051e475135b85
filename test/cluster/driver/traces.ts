import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import type { Place } from '../machine/place.ts'
import { isAlive, type Process, processOf } from '../machine/process.ts'
import { lastState } from '../machine/state.ts'

/** What can be seen of a cluster from outside of it. */
export type Traces = {
  readonly processes: readonly Process[]
  /** Network namespaces, by their inodes. */
  readonly networks: readonly string[]
}

/** The processes of a cluster that runs, and those that brought them into it; and the networks they are in. */
export function tracesOf(place: Place): Traces {
  const [first] = lastState(place)?.nodes ?? []
  const all = pids()
  const parents = new Map(all.map((pid) => [pid, parentOf(pid)]))
  const isInside = (pid: number): boolean => {
    for (let at: number | undefined = pid; at !== undefined && at > 1; at = parents.get(at)) if (at === first?.pid) return true
    return read(pid, 'cmdline').includes(place.folder)
  }
  const inside = all.filter((pid) => pid !== process.pid && isInside(pid))
  const own = networkOf(process.pid)
  const networks = new Set(inside.map(networkOf).filter((network) => network !== '' && network !== own))
  return { processes: inside.flatMap((pid) => existing(pid)), networks: [...networks] }
}

/** What is left of it. A network lives as long as a process is in it or a mount holds it; its number may soon be another's. */
export function leftOf(place: Place, { processes, networks }: Traces): readonly string[] {
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n')
  return [
    ...processes.filter(isAlive).map(({ pid }) => `process ${pid}: ${read(pid, 'cmdline').replaceAll('\0', ' ')}`),
    ...mounts.filter((mount) => mount.includes(place.folder) || networks.some((network) => mount.includes(network))),
    ...readdirSync('/sys/fs/cgroup', { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => join('/sys/fs/cgroup', name))
      .filter((folder) => folder.endsWith(place.cgroup) || readdirSync(folder).includes(place.cgroup)),
  ]
}

/** Settings of the machine that a kubelet would change, and the names of its interfaces. */
export function machine(): Readonly<Record<string, string>> {
  const names = [
    'vm/overcommit_memory',
    'vm/panic_on_oom',
    'kernel/panic',
    'kernel/panic_on_oops',
    'kernel/keys/root_maxkeys',
    'kernel/keys/root_maxbytes',
  ]
  const value = (name: string): string => readFileSync(join('/proc/sys', name), 'utf8').trim()
  return Object.fromEntries(names.map((name) => [name, value(name)]))
}

const pids = (): readonly number[] =>
  readdirSync('/proc')
    .map(Number)
    .filter((pid) => pid > 0)

function existing(pid: number): readonly Process[] {
  try {
    return [processOf(pid)]
  } catch {
    return []
  }
}

function parentOf(pid: number): number {
  return Number(/^PPid:\s+(\d+)/m.exec(read(pid, 'status'))?.[1] ?? 0)
}

function read(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'latin1')
  } catch {
    return ''
  }
}

function networkOf(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`)
  } catch {
    return ''
  }
}
