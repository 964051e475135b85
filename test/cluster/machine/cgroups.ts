import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Place } from './place.ts'
import { until } from './until.ts'

const root = '/sys/fs/cgroup'

// Killed processes leave their groups only when the kernel has torn them down.
const leavingMs = 20_000

/** The hierarchies that are mounted: one for each controller in version 1, a single one in version 2. */
function hierarchies(): readonly string[] {
  if (existsSync(join(root, 'cgroup.procs'))) return [root]
  const folders = readdirSync(root).map((name) => join(root, name))
  return folders.filter((folder) => existsSync(join(folder, 'cgroup.procs')))
}

/** Makes the groups below which the kubelets put their pods: in every hierarchy, or the kubelet refuses to start. */
export function makeCgroups({ cgroup, nodes }: Place): void {
  for (const hierarchy of hierarchies()) {
    for (const group of [cgroup, ...nodes.map((node) => node.cgroup)]) {
      const folder = join(hierarchy, group)
      mkdirSync(folder, { recursive: true })
      // In version 1 a new cpuset is empty, and nothing can run in it.
      for (const file of ['cpuset.cpus', 'cpuset.mems']) {
        if (existsSync(join(folder, file)) && hierarchy !== root) writeFileSync(join(folder, file), readFileSync(join(hierarchy, file)))
      }
    }
    if (hierarchy === root) for (const group of ['', cgroup, ...nodes.map((node) => node.cgroup)]) delegate(join(root, group))
  }
}

/** In version 2 a group's controllers are handed down one by one. */
function delegate(folder: string): void {
  const has = readFileSync(join(folder, 'cgroup.controllers'), 'utf8').trim().split(' ')
  const wanted = ['cpuset', 'cpu', 'io', 'memory', 'hugetlb', 'pids'].filter((controller) => has.includes(controller))
  writeFileSync(join(folder, 'cgroup.subtree_control'), wanted.map((controller) => `+${controller}`).join(' '))
}

/** Removes what is left of a cluster that has ended. */
export async function removeCgroups({ cgroup }: Place): Promise<void> {
  const folders = hierarchies().map((hierarchy) => join(hierarchy, cgroup))
  await until(`the cgroups of ${cgroup} are gone`, () => folders.every((folder) => remove(folder)), leavingMs)
}

function remove(folder: string): boolean {
  if (!existsSync(folder)) return true
  try {
    for (const entry of readdirSync(folder, { withFileTypes: true })) if (entry.isDirectory()) remove(join(folder, entry.name))
    rmdirSync(folder)
    return true
  } catch {
    return false
  }
}
