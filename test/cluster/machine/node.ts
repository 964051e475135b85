import { spawn } from 'node:child_process'
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Node } from './place.ts'
import { type Process, processOf } from './process.ts'
import { until } from './until.ts'

const firstProcess = join(import.meta.dirname, '../node.sh')
const soonMs = 20_000

/** How long a cluster lives: until it is told to end, or no longer than the process that starts it, however that ends. */
export type Life = 'until down' | 'with me'

/**
 * Starts a node: namespaces of its own for network, mounts, processes, host name and IPC, and a first process in them. Those of a second node
 * are inside of the first one's, so that both end as one.
 */
export async function startNode(node: Node, life: Life, inside?: Process): Promise<Process> {
  const namespaces = ['--net', '--mount', '--pid', '--uts', '--ipc', '--fork', '--kill-child', '--mount-proc']
  const around = inside === undefined ? [] : ['nsenter', '--target', String(inside.pid), '--pid', '--']
  const leash = life === 'with me' ? ['setpriv', '--pdeathsig', 'KILL', '--'] : []
  // env only runs what follows it: the first word depends on who starts the node, and how.
  const command = [...leash, ...around, 'unshare', ...namespaces, 'bash', firstProcess]
  const outer = detached('env', command, join(node.folder, 'log/node.log'), { NODE: node.folder, NAME: node.name })
  await until(`the namespaces of ${node.name}`, () => existsSync(join(node.folder, 'made')) || ended(outer, node), soonMs)
  return processOf(firstIn(outer))
}

/** Enters namespaces of a process: everything of a node, or its network alone. */
export function entering({ pid }: Process, what: 'everything' | 'network'): readonly string[] {
  const namespaces = what === 'network' ? ['--net'] : ['--mount', '--net', '--pid', '--uts', '--ipc']
  return ['--target', String(pid), ...namespaces, '--']
}

/** Starts a program that outlives us, with its output in a file; gives its pid on this machine. */
export function detached(file: string, args: readonly string[], log: string, env: Readonly<Record<string, string>> = {}): number {
  const output = openSync(log, 'a')
  const child = spawn(file, args, { detached: true, stdio: ['ignore', output, output], cwd: '/', env: { ...process.env, ...env } })
  closeSync(output)
  // A program that is not there is missed by whoever waits for what it should do.
  child.on('error', () => {})
  child.unref()
  return child.pid ?? 0
}

function ended(pid: number, { folder }: Node): false {
  if (pid !== 0 && existsSync(`/proc/${pid}`)) return false
  throw new Error(`the node has ended at once: ${readFileSync(join(folder, 'log/node.log'), 'utf8').trim()}`)
}

/** The process that runs node.sh, below the programs that made its namespaces. */
function firstIn(pid: number): number {
  const [child] = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')
  const name = readFileSync(`/proc/${pid}/comm`, 'utf8').trim()
  return name === 'bash' || child === undefined || child === '' ? pid : firstIn(Number(child))
}
