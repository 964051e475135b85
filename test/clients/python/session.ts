import { spawn } from 'node:child_process'
import { buffer } from 'node:stream/consumers'
import type { Owner } from '../../fixtures/provider.ts'

// Each file takes some ten seconds; what takes this long has got stuck.
const longestFileMs = 120_000

export type Outcome = { readonly passed: number; readonly failed: number }

/** Runs what `body` does with a place to tidy up, and tidies up. */
export async function tidily<Result>(body: (owner: Owner) => Promise<Result>): Promise<Result> {
  const cleanups: (() => unknown)[] = []
  const after = (cleanup?: unknown): void => {
    if (typeof cleanup === 'function') cleanups.push(() => cleanup())
  }
  try {
    return await body({ after })
  } finally {
    // In place: what a cleanup asks for now comes behind the others.
    for (const cleanup of cleanups.reverse()) await cleanup()
  }
}

export async function python(interpreter: string, file: string, env: Readonly<Record<string, string>>) {
  const child = spawn(interpreter, [file], {
    env: { PATH: process.env['PATH'], PYTHONDONTWRITEBYTECODE: '1', PYTHONUTF8: '1', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: longestFileMs,
    killSignal: 'SIGKILL',
  })
  const ended = new Promise<string>((done, fail) => {
    child.once('error', fail)
    child.once('close', (code, signal) => done(code === 0 ? '' : `ended with ${signal ?? code}`))
  })
  const [stdout, stderr, problem] = await Promise.all([buffer(child.stdout), buffer(child.stderr), ended])
  return { stdout: stdout.toString(), stderr: stderr.toString(), problem }
}

/** A report per file, printed whole: they run side by side. */
export function report(title: string, lines: readonly string[]): Outcome {
  console.log([`\n${title}`, ...lines].join('\n'))
  const failed = lines.filter((line) => line.startsWith('FAILED ')).length
  return { passed: lines.filter((line) => line.startsWith('ok ')).length, failed }
}

export function attempt(check: () => string | void, name: string): string {
  try {
    return `ok ${check() ?? name}`
  } catch (err) {
    return `FAILED ${name}: ${err instanceof Error ? err.message : String(err)}`
  }
}
