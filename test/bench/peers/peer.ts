import { execFile } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Command } from '../processes.ts'
import type { Upstream } from '../upstream/upstream.ts'

/** One start of a peer: the port to listen on, the upstream to call, a folder for its files, and another free port if it needs one. */
export type Situation = { readonly port: number; readonly otherPort: number; readonly upstream: Upstream; readonly dir: string }

export type Availability = { readonly version: string } | { readonly missing: string }

export type Peer = {
  readonly name: string
  /** Runs our code on Node: takes flags for it and can be profiled. */
  readonly ours?: true
  /** Makes it ready to be started, installing it where needed, or says in a sentence why it cannot be had. */
  install(): Promise<Availability>
  /** Writes its configuration and says how to start it. Null: the load goes straight to the upstream. */
  command(situation: Situation): Command | null
  /** What an app has to add to its requests for this peer. */
  headers?(situation: Situation): Readonly<Record<string, string>>
}

const longestInstallMs = 300_000

/** A folder for what the bench installs, outside the project, kept from run to run. */
export function cacheFolder(name: string): string {
  const folder = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'outrider-bench', name)
  mkdirSync(folder, { recursive: true })
  return folder
}

/** Runs a command to its end and returns what it wrote, on either channel. */
export async function run(
  file: string,
  args: readonly string[],
  options: { cwd?: string; env?: Record<string, string> } = {},
): Promise<string> {
  const env = { ...process.env, ...options.env }
  const { stdout, stderr } = await promisify(execFile)(file, args, { ...options, env, timeout: longestInstallMs, maxBuffer: 1 << 26 })
  return stdout + stderr
}

/** What `attempt` says, or the last line of its failure as the reason why the peer is missing. */
export async function available(attempt: () => Promise<string>): Promise<Availability> {
  try {
    return { version: await attempt() }
  } catch (err) {
    const lines = (err instanceof Error ? err.message : String(err)).trim().split('\n')
    return { missing: lines.at(-1) ?? 'it failed without a word' }
  }
}
