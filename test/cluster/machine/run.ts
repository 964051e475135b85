import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

const execute = promisify(execFile)

export type RunOptions = {
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string>>
  readonly input?: string | Buffer
  readonly boundMs?: number
}

// For what downloads or computes; waits have bounds of their own.
const longestMs = 10 * 60_000

/** Runs a program to its end and gives what it said; a failure says what was run and what it complained about. */
export async function run(file: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  const { cwd, env, input, boundMs = longestMs } = options
  const running = execute(file, args, {
    maxBuffer: 64 * 2 ** 20,
    timeout: boundMs,
    killSignal: 'SIGKILL',
    env: { ...process.env, ...env },
    ...(cwd === undefined ? {} : { cwd }),
  })
  // A program that ends before it has read everything says why itself.
  running.child.stdin?.on('error', () => {})
  running.child.stdin?.end(input)
  try {
    return (await running).stdout
  } catch (err) {
    const { code, killed, stderr = '', stdout = '' } = err as { code?: unknown; killed?: boolean; stderr?: string; stdout?: string }
    const ending = killed === true ? `did not end within ${boundMs / 1_000} s` : `ended with ${String(code)}`
    const said = (stderr.trim() || stdout.trim()).split('\n').slice(-20).join('\n')
    throw new Error(`${[file, ...args].join(' ').slice(0, 400)} ${ending}: ${said}`, { cause: err })
  }
}
