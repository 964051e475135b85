import { spawnSync } from 'node:child_process'

/** A build that cannot go on for a reason that a person can mend. */
export class CannotBuild extends Error {
  override name = 'CannotBuild'
}

/** What a command prints; null where it is not there or fails. */
export function said(command: string, args: readonly string[], cwd?: string): string | null {
  const { status, stdout } = spawnSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'], timeout: 60_000 })
  return status === 0 ? stdout.trim() : null
}

/** Runs a command to its end; what it prints is shown only if it fails, unless `loud`. */
export function run(command: string, args: readonly string[], { cwd, loud = false }: { cwd?: string; loud?: boolean } = {}): void {
  const stdio = loud ? (['ignore', 'inherit', 'inherit'] as const) : (['ignore', 'pipe', 'pipe'] as const)
  const { status, signal, error, stdout, stderr } = spawnSync(command, args, { cwd, encoding: 'utf8', stdio: [...stdio] })
  if (status === 0) return
  const why = error?.message ?? (signal === null ? `exit code ${status}` : signal)
  throw new CannotBuild(`${command} ${args.join(' ')}\nfailed (${why})\n${stdout ?? ''}${stderr ?? ''}`.trimEnd())
}
