import { readdirSync, readFileSync } from 'node:fs'

export type Memory = { readonly rssMiB: number; readonly anonymousMiB: number }

/** CPU time in ms that a process and its children have used so far, in user and system mode, on all their threads. */
export function cpuMs(pid: number): number {
  return sum(family(pid).map(cpuMsOfOne))
}

/** Memory of a process and its children. Pages that they share count once for each, as they do in `ps`. */
export function memory(pid: number): Memory {
  const statuses = family(pid).map((one) => read(`/proc/${one}/status`))
  return {
    rssMiB: sum(statuses.map((status) => kib(status, 'VmRSS'))) / 1024,
    anonymousMiB: sum(statuses.map((status) => kib(status, 'RssAnon'))) / 1024,
  }
}

/** The process, its children and theirs: nginx works in a child. */
export function family(pid: number): number[] {
  const children = threads(pid).flatMap((thread) => read(`/proc/${pid}/task/${thread}/children`).split(' ').filter(Boolean).map(Number))
  return [pid, ...children.flatMap(family)]
}

/**
 * The scheduler's own count, in ns, where the kernel keeps it. The usual utime + stime of `stat` is the same time rounded to 10 ms,
 * too coarse for a run of a hundred calls.
 */
function cpuMsOfOne(pid: number): number {
  const spent = threads(pid).map((thread) => Number(read(`/proc/${pid}/task/${thread}/schedstat`).split(' ')[0] ?? 0))
  const ns = sum(spent)
  return ns > 0 ? ns / 1e6 : ticks(pid) * 10
}

/** utime + stime, in 1/100 s. The name of the process may hold spaces, so fields are counted from its closing bracket. */
function ticks(pid: number): number {
  const stat = read(`/proc/${pid}/stat`)
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return Number(fields[11] ?? 0) + Number(fields[12] ?? 0)
}

function threads(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/task`)
  } catch {
    return []
  }
}

function kib(status: string, key: string): number {
  return Number(new RegExp(`^${key}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? 0)
}

/** A process or thread that is gone has used nothing that could still be read. */
function read(file: string): string {
  try {
    return readFileSync(file, 'latin1')
  } catch {
    return ''
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
