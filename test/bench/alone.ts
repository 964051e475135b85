import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const file = join(tmpdir(), 'outrider-bench.lock')

/** Refuses a second bench on this machine: both would use the same core for their proxies and measure each other. */
export function claimMachine(): void {
  const holder = Number(read())
  if (holder > 0 && holder !== process.pid && lives(holder)) throw new Error(`another bench runs already, as process ${holder}`)
  writeFileSync(file, String(process.pid))
}

export function leaveMachine(): void {
  if (Number(read()) === process.pid) rmSync(file, { force: true })
}

function read(): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}

function lives(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
