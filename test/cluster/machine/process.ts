import { readFileSync } from 'node:fs'

/** A process by more than its number, which the next one may have. */
export type Process = { readonly pid: number; readonly startedAt: string }

export function processOf(pid: number): Process {
  const startedAt = startOf(pid)
  if (startedAt === undefined) throw new Error(`process ${pid} has ended`)
  return { pid, startedAt }
}

export function isAlive({ pid, startedAt }: Process): boolean {
  return startOf(pid) === startedAt
}

/** SIGKILL, to this process and to no other. */
export function kill(process_: Process): void {
  try {
    if (isAlive(process_)) process.kill(process_.pid, 'SIGKILL')
  } catch {
    // It has just ended by itself.
  }
}

/** In ticks since the machine's start; the name before it may hold spaces and brackets. A zombie has ended. */
function startOf(pid: number): string | undefined {
  try {
    const [state, ...rest] = readFileSync(`/proc/${pid}/stat`, 'latin1')
      .replace(/^.*\) /s, '')
      .split(' ')
    return state === 'Z' ? undefined : rest[18]
  } catch {
    return undefined
  }
}
