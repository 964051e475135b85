import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { removing } from '../fixtures/closing.ts'
import type { Owner } from '../fixtures/providerExchange.ts'
import { program, type Program } from '../fixtures/runOutrider.ts'
import type { Scene, Seen } from './scene.ts'

export interface CommandScene {
  readonly says: Scene['says']
  /** The exit code. */
  readonly code: number
  /** Arguments that begin with `@` are files of the scene. */
  readonly args: readonly string[]
  readonly files?: Readonly<Record<string, string | Buffer>>
  readonly env?: Readonly<Record<string, string>>
  readonly input?: string
  /** Goes on until it has printed this, and is told to stop then. */
  readonly until?: string
  readonly before?: string
  /** More that must be there: what it gives is put in the place of `PORT`. */
  readonly beside?: (t: Owner) => Promise<number>
  readonly where?: string
}

const stackTrace = /\n\s+at .*[:(]|node:internal|file:\/\//

/** A command that fails, as a process of its own. */
export function commandScene(title: string, scene: CommandScene): Scene {
  return { title, says: scene.says, play: (t) => played(t, scene) }
}

async function played(t: Owner, scene: CommandScene): Promise<Seen> {
  const { args, files = {}, env = {}, input = '', code, until, beside, before } = scene
  const port = beside === undefined ? 'PORT' : String(await beside(t))
  const folder = folderWith(t, files, port)
  const placed = args.map((arg) => arg.replace('PORT', port).replace(/(^|=)@/, `$1${folder}/`))
  const running = program(t, placed, { env, ...(before !== undefined && { before }) })
  running.child.stdin.end(input)
  if (until !== undefined) {
    await running.printed(until)
    running.child.kill('SIGTERM')
  }
  const ended = await running.exit
  const came = (running.stderr() + said(running, until)).replaceAll(folder, '').replaceAll(port, 'PORT').trimEnd()
  if (ended.code !== code) throw new Error(`it ended with ${ended.code ?? ended.signal}, not with ${code}: ${came}`)
  if (stackTrace.test(came)) throw new Error(`a stack trace: ${came}`)
  return { did: didOf(scene), came: `${came}\n(exit code ${ended.code})`, log: [] }
}

/** Of the log only what somebody has to act upon. */
function said({ stdout }: Program, until: string | undefined): string {
  return until === undefined
    ? stdout()
    : stdout()
        .split('\n')
        .filter((line) => /"level":"(?:warn|error|fatal)"/.test(line))
        .join('\n')
}

function folderWith(t: Owner, files: NonNullable<CommandScene['files']>, port: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'outrider-test-'))
  removing(t, () => {
    rmSync(folder, { recursive: true, force: true })
  })
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), typeof text === 'string' ? text.replaceAll('@/', `${folder}/`).replaceAll('PORT', port) : text)
    chmodSync(join(folder, name), 0o644)
  }
  return folder
}

/** A certificate is another one each time. */
const linesOf = (text: string): string[] =>
  text.startsWith('-----BEGIN') ? [`${text.split('\n', 1)[0]}…`] : text.trimEnd().split('\n').slice(0, 60)

function didOf({ where, files = {}, env = {}, args, input }: CommandScene): string {
  const shown = Object.entries(files).map(([name, text]) => {
    const lines = typeof text === 'string' ? linesOf(text) : [`(${text.length} bytes: ${text.toString('hex')})`]
    return [`/${name}:`, ...lines.map((line) => `  ${line.slice(0, 160)}`)].map((line) => `# ${line}`).join('\n')
  })
  const variables = Object.entries(env).map(([name, value]) => `${name}=${value} `)
  const piped = input === undefined ? '' : `printf ${JSON.stringify(input)} | `
  const command = `${piped}${variables.join('')}outrider ${args.map((arg) => arg.replace(/(^|=)@/, '$1/')).join(' ')}`
  return [...(where === undefined ? [] : [`# ${where}`]), ...shown, command].join('\n')
}
