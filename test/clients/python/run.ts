// `npm run test:clients`: the clients that apps in Python have, through sidecars that are processes of their own. The first run installs them.
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { deadUpstream, type Owner } from '../../fixtures/provider.ts'
import { runOutrider } from '../../fixtures/runOutrider.ts'
import { clientEnv, keyWasChanged } from '../behindSidecar.ts'
import { programs, said } from '../programs/programs.ts'
import { control, directed } from './control.ts'
import { environment } from './environments.ts'

const tests: readonly { readonly file: string; readonly packages: string }[] = [
  { file: 'openai_sync.py', packages: 'sdk' },
  { file: 'openai_async.py', packages: 'sdk' },
  { file: 'anthropic_client.py', packages: 'sdk' },
  { file: 'langchain_client.py', packages: 'frameworks' },
  { file: 'llamaindex_client.py', packages: 'frameworks' },
]

// Each file takes some ten seconds; what takes this long has got stuck.
const longestFileMs = 120_000

type Outcome = { readonly passed: number; readonly failed: number }

/** Runs what `body` does with a place to tidy up, and tidies up. */
async function tidily<Result>(body: (owner: Owner) => Promise<Result>): Promise<Result> {
  const cleanups: (() => unknown)[] = []
  const after = (cleanup?: unknown): void => {
    if (typeof cleanup === 'function') cleanups.push(() => cleanup())
  }
  try {
    return await body({ after })
  } finally {
    for (const cleanup of cleanups.toReversed()) await cleanup()
  }
}

async function python(interpreter: string, file: string, env: Readonly<Record<string, string>>) {
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
function report(title: string, lines: readonly string[]): Outcome {
  console.log([`\n${title}`, ...lines].join('\n'))
  const failed = lines.filter((line) => line.startsWith('FAILED ')).length
  return { passed: lines.filter((line) => line.startsWith('ok ')).length, failed }
}

async function testFile(file: string, interpreter: string): Promise<Outcome> {
  return tidily(async (t) => {
    const upstream = await directed(t)
    const [sidecar, refusing] = await Promise.all([runOutrider(t, upstream.url), runOutrider(t, await deadUpstream())])
    const { stdout, stderr, problem } = await python(interpreter, join(import.meta.dirname, file), {
      ...clientEnv(new URL(sidecar.url).origin),
      REFUSING_ENV: JSON.stringify(clientEnv(new URL(refusing.url).origin)),
      CONTROL_URL: await control(t, upstream, refusing),
    })
    const lines = stdout.trim().split('\n')
    const broken = problem !== '' && !lines.some((line) => line.startsWith('FAILED '))
    const keyless = attempt(() => keyWasChanged({ upstream }), 'the_placeholder_never_left_the_pod')
    const traces = problem === '' ? [] : [stderr.trimEnd()]
    return report(file, [...lines, keyless, ...(broken ? [`FAILED the file itself ${problem}`] : []), ...traces])
  })
}

async function program(name: string, interpreter: string): Promise<Outcome> {
  return tidily(async (t) => {
    const upstream = await directed(t)
    const sidecar = await runOutrider(t, upstream.url)
    const file = join(import.meta.dirname, '../programs', `${name}.py`)
    const { stdout, stderr, problem } = await python(interpreter, file, clientEnv(new URL(sidecar.url).origin))
    const right = attempt(() => said(name, stdout, upstream.seen), name)
    return report(`programs/${name}.py`, [right, ...(problem === '' ? [] : [`FAILED the program itself ${problem}`, stderr])])
  })
}

function attempt(check: () => void, name: string): string {
  try {
    check()
    return `ok ${name}`
  } catch (err) {
    return `FAILED ${name}: ${err instanceof Error ? err.message : String(err)}`
  }
}

const began = performance.now()
const sdk = await environment('sdk')
const interpreters: Readonly<Record<string, string>> = { sdk, frameworks: await environment('frameworks') }
const outcomes = await Promise.all([
  ...tests.map(({ file, packages }) => testFile(file, interpreters[packages] ?? '')),
  ...programs.map((name) => program(name, sdk)),
])
const passed = outcomes.reduce((sum, one) => sum + one.passed, 0)
const failed = outcomes.reduce((sum, one) => sum + one.failed, 0)
console.log(`\n${passed} passed, ${failed} failed (${((performance.now() - began) / 1_000).toFixed(1)} s)`)
process.exitCode = failed > 0 || passed === 0 ? 1 : 0
