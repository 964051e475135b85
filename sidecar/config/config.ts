import * as v from 'valibot'
import { readFile, stat } from '../files.ts'
import { disagreements, type Finding } from './agreement.ts'
import { readDocument, type Document, type Path } from './document.ts'
import { idleNames, listed, type Env } from './environmentNames.ts'
import { expand, retyped } from './expand.ts'
import { fileFault } from './fileFault.ts'
import { clientsSchema } from './listenerSettings.ts'
import { isMapping } from './mapping.ts'
import { ConfigRefused, describe, type Problem } from './refused.ts'
import { configSchema } from './schema.ts'
import { formatSize, parseSize } from './units.ts'

export { ConfigRefused, type Problem } from './refused.ts'

/** As it is, and never changed any more. */
export type Frozen<Value> = Value extends object ? { readonly [Key in keyof Value]: Frozen<Value[Key]> } : Value

/** What the sidecar runs with: checked, every default filled in, durations in milliseconds, sizes in bytes. */
export type Config = Frozen<v.InferOutput<typeof configSchema>>
export type Upstream = Config['upstreams'][number]
export type Client = Frozen<v.InferOutput<typeof clientsSchema>[number]>

export interface Parsed {
  readonly config: Config
  /** Sentences ready to print; nothing in them stops the sidecar. */
  readonly warnings: readonly string[]
}

/** Everything that is to be said about a config; there is no `config` where there are problems. */
export interface Examined {
  readonly config?: Config
  readonly problems: readonly Problem[]
  readonly warnings: readonly Problem[]
}

/**
 * Checks a whole config, YAML or JSON. Throws `ConfigRefused` with everything that is wrong, and nothing else; `source` is what messages call
 * the text. With `env`, `${NAME}` stands for a variable: for what a person starts the proxy with, never for what comes over the network.
 */
export async function parseConfig(text: string, source: string, env?: Env): Promise<Parsed> {
  const { config, problems, warnings } = await examineConfig(text, source, env)
  if (config === undefined) throw new ConfigRefused(source, problems)
  return { config, warnings: warnings.map((warning) => describe(source, warning)) }
}

/** The same for those who want to hear all of it: never throws. */
export async function examineConfig(text: string, source: string, env?: Env): Promise<Examined> {
  try {
    const { output, problems, warnings } = await check(await readDocument(text, source), configSchema, disagreements, env)
    return output === undefined ? { problems, warnings } : { config: freeze(output), problems, warnings }
  } catch (refused) {
    if (refused instanceof ConfigRefused) return { problems: refused.problems, warnings: [] }
    throw refused
  }
}

/** Checks the content of `clientsFile`, YAML or JSON: the same list as under `clients`. Throws only `ConfigRefused`. */
export async function parseClients(text: string, source: string): Promise<readonly Client[]> {
  const listed = (document: unknown) => {
    const { problems } = disagreements({ clients: document })
    return { problems: problems.map((finding) => ({ ...finding, path: finding.path.slice(1) })), warnings: [] }
  }
  const { output, problems } = await check(await readDocument(text, source), clientsSchema, listed)
  if (output === undefined) throw new ConfigRefused(source, problems)
  return freeze(output)
}

/** Reads a config file. Throws `ConfigRefused`, also where there is no such file. */
export async function loadConfig(path: string, env: Env = {}): Promise<Parsed> {
  const text = await readText(path)
  const { config, warnings } = await parseConfig(text, path, env)
  const idle = idleNames(env, text)
  if (idle.length === 0) return { config, warnings }
  const does = idle.length > 1 ? 'do' : 'does'
  return {
    config,
    warnings: [...warnings, `${listed(idle)} in the environment ${does} nothing beside a config file: say it in the file instead`],
  }
}

type Disagreements = (document: unknown) => { readonly problems: readonly Finding[]; readonly warnings: readonly Finding[] }

/** A document against its schema. There is an output only where there is no problem. */
export async function check<const Schema extends v.GenericSchema>(document: Document, schema: Schema, agree: Disagreements, env?: Env) {
  if (document.value === null || document.value === undefined) return { problems: [{ path: '', message: 'is empty' }], warnings: [] }
  const expanded = env === undefined ? { document, unset: [] } : expand(document, env)
  const { unset } = expanded
  let written = expanded.document
  let result = v.safeParse(schema, written.value)
  const mended = retyped(
    written,
    (result.issues ?? []).map(({ path, expected }) => ({ path: stepsOf(path), type: expected ?? '' })),
  )
  if (mended !== undefined) {
    written = mended
    result = v.safeParse(schema, written.value)
  }
  const found = agree(written.value)
  // A key that the environment holds does not stand in the config, unless as what to fall back on.
  const cautions = found.warnings.filter(({ path }) => path[0] !== 'credentials' || !/^\$\{\w+\}$/.test(textAt(document.value, path)))
  if (result.success && unset.length + found.problems.length + cautions.length === 0) {
    return { output: result.output, problems: [], warnings: [] }
  }
  // Only who has something to say pays for the words.
  const { problemsOf } = await import('./problems.ts')
  const located = { ...written, placeOf: (await written.locate?.()) ?? written.placeOf }
  const warnings = problemsOf([], cautions, located)
  const problems = problemsOf(result.issues ?? [], found.problems, located, unset)
  return result.success && problems.length === 0 ? { output: result.output, problems, warnings } : { problems, warnings }
}

function textAt(value: unknown, path: Path): string {
  const found = path.reduce<unknown>((inside, step) => (isMapping(inside) ? inside[step] : undefined), value)
  return typeof found === 'string' ? found : ''
}

function stepsOf(path: readonly v.IssuePathItem[] = []): Path {
  return path.map(({ key }) => (typeof key === 'number' ? key : String(key)))
}

// A ConfigMap and a Secret hold at most 1 MiB.
const largestFile = '1MiB'

/** Reads a text file of a config, or one that a setting names; throws `ConfigRefused` with a sentence. */
export async function readText(path: string, setting = ''): Promise<string> {
  try {
    const { size } = await stat(path)
    if (size > parseSize(largestFile))
      throw refusal(path, setting, `is larger than ${formatSize(parseSize(largestFile))}, the most that is read`)
    return new TextDecoder('utf-8', { fatal: true }).decode(await readFile(path))
  } catch (cause) {
    if (cause instanceof ConfigRefused) throw cause
    const isUnreadable = cause instanceof Error && 'code' in cause && cause.code === 'ERR_ENCODING_INVALID_ENCODED_DATA'
    throw refusal(path, setting, isUnreadable ? 'is not UTF-8 text' : fileFault(cause))
  }
}

function refusal(source: string, path: string, message: string): ConfigRefused {
  return new ConfigRefused(source, [{ path, message } satisfies Problem])
}

export function freeze<Value>(value: Value): Frozen<Value> {
  if (isMapping(value) || Array.isArray(value)) {
    Object.values(value).forEach(freeze)
    Object.freeze(value)
  }
  return value as Frozen<Value>
}
