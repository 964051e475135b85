import { type ChildProcess, spawn, type StdioOptions } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

export type Command = { readonly file: string; readonly args: readonly string[]; readonly env?: Readonly<Record<string, string>> }

export type Running = {
  readonly pid: number
  readonly child: ChildProcess
  /** Ends the process and whatever it started: politely first, then not. */
  stop(): Promise<void>
}

const alive = new Set<ChildProcess>()
const politeMs = 3_000

/** Starts a command bound to one or more cores, leading a process group of its own, so that it can be ended with its children. */
export function start(command: Command, cores: string, stdio: StdioOptions): Running {
  const child = spawn('taskset', ['-c', cores, command.file, ...command.args], {
    stdio,
    detached: true,
    env: { ...process.env, ...command.env },
  })
  // Spawn failures are told by whoever waits for the port or the first message; without a listener they would end the bench.
  child.on('error', () => alive.delete(child))
  alive.add(child)
  const gone = once(child, 'exit').then(
    () => alive.delete(child),
    () => {},
  )
  return {
    pid: child.pid ?? 0,
    child,
    stop: async () => {
      signalGroup(child, 'SIGTERM')
      await Promise.race([gone, sleep(politeMs, undefined, { ref: false })])
      signalGroup(child, 'SIGKILL')
      await gone
    },
  }
}

/** Starts a server with its standard output thrown away and its errors in a file, and waits until it accepts. */
export async function serve(command: Command, core: string, port: number, errorFile: string): Promise<Running & { startMs: number }> {
  const nowhere = openSync('/dev/null', 'w')
  const errors = openSync(errorFile, 'w')
  const from = performance.now()
  const running = start(command, core, ['ignore', nowhere, errors])
  closeSync(nowhere)
  closeSync(errors)
  try {
    await accepting(port, running.child)
  } catch (err) {
    await running.stop()
    throw new Error(`it does not listen: ${complaint(errorFile)}`, { cause: err })
  }
  return { ...running, startMs: performance.now() - from }
}

/** The line of a crash that names the error, or else the last one. */
function complaint(errorFile: string): string {
  const lines = readFileSync(errorFile, 'utf8').trim().split('\n')
  return lines.find((line) => /^\w*Error: /.test(line)) ?? lines.at(-1) ?? ''
}

/** Ends at once everything still running: the last thing the bench does, whichever way it ends. */
export function killAll(): void {
  for (const child of alive) signalGroup(child, 'SIGKILL')
}

/** A port that was free a moment ago: peers cannot say which one they took when told to take any. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error('no free port')
  return address.port
}

async function accepting(port: number, child: ChildProcess): Promise<void> {
  const until = performance.now() + 20_000
  while (performance.now() < until) {
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) throw new Error('it ended')
    if (await accepts(port)) return
    await sleep(1)
  }
  throw new Error('not within 20 s')
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' })
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}

function signalGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return
  try {
    process.kill(-child.pid, signal)
  } catch {
    // Gone already.
  }
}
