// `npm run test:clients`: the clients that apps in Python have, through sidecars that are processes of their own. The first run installs them.
import { join } from 'node:path'
import { deadUpstream } from '../../fixtures/provider.ts'
import { runOutrider } from '../../fixtures/runOutrider.ts'
import { clientEnv, keyWasChanged } from '../behindSidecar.ts'
import { programs, said } from '../programs/programs.ts'
import { amplification } from './amplification.ts'
import { control, directed } from './control.ts'
import { environment } from './environments.ts'
import { attempt, python, report, tidily, type Outcome } from './session.ts'

const tests: readonly { readonly file: string; readonly packages: string }[] = [
  { file: 'openai_sync.py', packages: 'sdk' },
  { file: 'openai_async.py', packages: 'sdk' },
  { file: 'anthropic_client.py', packages: 'sdk' },
  { file: 'langchain_client.py', packages: 'frameworks' },
  { file: 'llamaindex_client.py', packages: 'frameworks' },
]

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

const began = performance.now()
const sdk = await environment('sdk')
const interpreters: Readonly<Record<string, string>> = { sdk, frameworks: await environment('frameworks') }
const outcomes = await Promise.all([
  ...tests.map(({ file, packages }) => testFile(file, interpreters[packages] ?? '')),
  ...programs.map((name) => program(name, sdk)),
  amplification(sdk),
])
const passed = outcomes.reduce((sum, one) => sum + one.passed, 0)
const failed = outcomes.reduce((sum, one) => sum + one.failed, 0)
console.log(`\n${passed} passed, ${failed} failed (${((performance.now() - began) / 1_000).toFixed(1)} s)`)
process.exitCode = failed > 0 || passed === 0 ? 1 : 0
