import { basename, join } from 'node:path'
import { readdir, stat } from '../files.ts'
import { tokenCaution } from '../proxy/serve/controlToken.ts'
import { examineConfig, readText, type Config } from './config.ts'
import { readDocument } from './document.ts'
import type { Env } from './environmentNames.ts'
import { isMapping } from './mapping.ts'
import { ConfigRefused, describe, type Problem } from './refused.ts'
import { compareVersions, versionPattern } from './semanticVersion.ts'

export interface ValidateOptions {
  /** Files, folders of them, or `-` for standard input. */
  readonly paths: readonly string[]
  /** The config from before, whose versions must not be undercut. */
  readonly against?: string | undefined
  readonly strict: boolean
  readonly json: boolean
  readonly env: Env
  readonly readInput: () => Promise<string>
}

export interface Verdict {
  readonly ok: boolean
  /** For standard output. */
  readonly out: string
  /** For standard error. */
  readonly err: string
}

interface Judged {
  readonly file: string
  readonly problems: readonly Problem[]
  readonly warnings: readonly Problem[]
}

/** Says everything that is to be said about these configs, offline. */
export async function validate(options: ValidateOptions): Promise<Verdict> {
  const files = (await Promise.all(options.paths.map(filesIn))).flat()
  const read = reader(options.readInput)
  const old = options.against === undefined ? undefined : await versionsBefore(options.against, read)
  const judged: Judged[] = old?.problems === undefined ? [] : [{ file: shown(options.against ?? ''), problems: old.problems, warnings: [] }]
  for (const { file, problem } of files) {
    judged.push(
      problem === undefined ? await judge(file, read, old?.versions ?? new Map(), options) : { file, problems: [problem], warnings: [] },
    )
  }
  const ok = judged.every(({ problems }) => problems.length === 0)
  return options.json ? { ok, out: `${JSON.stringify({ ok, files: judged }, undefined, 2)}\n`, err: '' } : { ok, ...inWords(judged) }
}

type Read = (file: string) => Promise<string>

/** Standard input can be read once, and may be both the new config and the old one by mistake. */
function reader(readInput: () => Promise<string>): Read {
  let input: Promise<string> | undefined
  return (file) => (file === '-' ? (input ??= readInput()) : readText(file))
}

const shown = (file: string): string => (file === '-' ? 'standard input' : file)

async function judge(file: string, read: Read, before: Versions, { env, strict }: ValidateOptions): Promise<Judged> {
  const name = shown(file)
  try {
    const text = await read(file)
    const { config, problems, warnings } = await examineConfig(text, name, env)
    const backwards = before.size === 0 ? [] : await undercut(text, name, before)
    const all = [...problems, ...backwards, ...(strict ? warnings : [])]
    // What is not on this machine is nothing that is wrong with the config, however strict.
    const missing = config === undefined ? [] : await missingToken(config, text, name)
    return { file: name, problems: all, warnings: strict ? missing : [...warnings, ...missing] }
  } catch (refused) {
    if (refused instanceof ConfigRefused) return { file: name, problems: refused.problems, warnings: [] }
    throw refused
  }
}

async function missingToken(config: Config, text: string, source: string): Promise<Problem[]> {
  const caution = await tokenCaution(config)
  if (caution === undefined) return []
  const document = await readDocument(text, source)
  const placeOf = (await document.locate?.()) ?? document.placeOf
  return [{ path: 'control.tokenFile', message: `on this machine ${caution}`, ...placeOf(['control', 'tokenFile']) }]
}

const extensions = /\.(?:ya?ml|json)$/

interface Found {
  readonly file: string
  readonly problem?: Problem
}

/** The configs of a folder; what begins with a dot is how Kubernetes swaps a mounted ConfigMap, and no file of a person's. */
async function filesIn(path: string): Promise<Found[]> {
  const isFolder = path !== '-' && (await stat(path).catch(() => undefined))?.isDirectory()
  if (!isFolder) return [{ file: path }]
  try {
    const names = (await readdir(path)).filter((name) => extensions.test(name) && !basename(name).startsWith('.')).toSorted()
    if (names.length > 0) return names.map((name) => ({ file: join(path, name) }))
    return [{ file: path, problem: { path: '', message: 'holds no *.yaml, *.yml or *.json' } }]
  } catch {
    return [{ file: path, problem: { path: '', message: 'cannot be read: permission denied' } }]
  }
}

type Versions = ReadonlyMap<string, string>

/** The old file need not be sound by the rules of today: all that counts are its versions. */
async function versionsBefore(file: string, read: Read): Promise<{ versions: Versions; problems?: readonly Problem[] }> {
  try {
    const { value } = await readDocument(await read(file), shown(file))
    return { versions: new Map(versionsOf(value).map(({ name, version }) => [name, version])) }
  } catch (refused) {
    if (refused instanceof ConfigRefused) return { versions: new Map(), problems: refused.problems }
    throw refused
  }
}

interface Entry {
  readonly index: number
  readonly name: string
  readonly version: string
}

function versionsOf(document: unknown): Entry[] {
  return entriesOf(document).flatMap(({ index, name, version }) =>
    typeof version === 'string' && versionPattern.test(version) ? [{ index, name, version }] : [],
  )
}

function entriesOf(document: unknown): { index: number; name: string; version: unknown }[] {
  const models: unknown = isMapping(document) ? document['models'] : undefined
  if (!Array.isArray(models)) return []
  return models.flatMap((model: unknown, index) =>
    isMapping(model) && typeof model['name'] === 'string' ? [{ index, name: model['name'], version: model['version'] }] : [],
  )
}

async function undercut(text: string, source: string, before: Versions): Promise<Problem[]> {
  // What cannot be read has been told already.
  const document = await readDocument(text, source).catch(() => undefined)
  if (document === undefined) return []
  const placeOf = (await document.locate?.()) ?? document.placeOf
  return entriesOf(document.value).flatMap(({ index, name, version }) => {
    const old = before.get(name)
    if (old === undefined) return []
    const at = { path: `models[${index}].version`, ...placeOf(['models', index, 'version']) }
    if (version === undefined) return [{ ...at, message: `is missing, and was ${old} before` }]
    if (typeof version !== 'string' || !versionPattern.test(version) || compareVersions(version, old) >= 0) return []
    return [{ ...at, message: `goes backwards: ${version} comes before ${old}; write ${old} or a later one` }]
  })
}

function inWords(judged: readonly Judged[]): Pick<Verdict, 'out' | 'err'> {
  let [out, err] = ['', '']
  for (const { file, problems, warnings } of judged) {
    for (const problem of problems) err += `${describe(file, problem)}\n`
    for (const warning of warnings) err += `${describe(file, { ...warning, message: `warning: ${warning.message}` })}\n`
    if (problems.length === 0) out += `${file}: is a config that Outrider takes\n`
  }
  return { out, err }
}
