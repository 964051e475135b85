import { readFile, stat } from 'node:fs/promises'
import * as v from 'valibot'
import { disagreements, type Finding } from './agreement.ts'
import { readDocument } from './document.ts'
import { clientsSchema } from './listenerSettings.ts'
import { isMapping } from './mapping.ts'
import { ConfigRefused, describe, type Problem } from './refused.ts'
import { configSchema } from './schema.ts'
import { formatSize, parseSize } from './units.ts'

export { ConfigRefused, type Problem } from './refused.ts'

type Frozen<Value> = Value extends object ? { readonly [Key in keyof Value]: Frozen<Value[Key]> } : Value

/** What the sidecar runs with: checked, every default filled in, durations in milliseconds, sizes in bytes. */
export type Config = Frozen<v.InferOutput<typeof configSchema>>
export type Upstream = Config['upstreams'][number]
export type Client = Frozen<v.InferOutput<typeof clientsSchema>[number]>

export interface Parsed {
  readonly config: Config
  /** Sentences ready to print; nothing in them stops the sidecar. */
  readonly warnings: readonly string[]
}

/** Checks a whole config, YAML or JSON. Throws `ConfigRefused` with everything that is wrong, and nothing else; `source` is what messages call the text. */
export async function parseConfig(text: string, source: string): Promise<Parsed> {
  const { output, warnings } = await check(text, source, configSchema, disagreements)
  return { config: freeze(output), warnings }
}

/** Checks the content of `clientsFile`, YAML or JSON: the same list as under `clients`. Throws only `ConfigRefused`. */
export async function parseClients(text: string, source: string): Promise<readonly Client[]> {
  const listed = (document: unknown) => {
    const { problems } = disagreements({ clients: document })
    return { problems: problems.map((finding) => ({ ...finding, path: finding.path.slice(1) })), warnings: [] }
  }
  const { output } = await check(text, source, clientsSchema, listed)
  return freeze(output)
}

/** Reads a config file. Throws `ConfigRefused`, also where there is no such file. */
export async function loadConfig(path: string): Promise<Parsed> {
  return parseConfig(await readText(path), path)
}

type Disagreements = (document: unknown) => { readonly problems: readonly Finding[]; readonly warnings: readonly Finding[] }

async function check<const Schema extends v.GenericSchema>(text: string, source: string, schema: Schema, agree: Disagreements) {
  const document = await readDocument(text, source)
  if (document.value === null || document.value === undefined) throw refusal(source, 'is empty')
  const result = v.safeParse(schema, document.value)
  const found = agree(document.value)
  if (result.success && found.problems.length + found.warnings.length === 0) return { output: result.output, warnings: [] }
  // Only who has something to say pays for the words.
  const { problemsOf } = await import('./problems.ts')
  const problems = problemsOf(result.issues ?? [], found.problems, document)
  if (!result.success || problems.length > 0) throw new ConfigRefused(source, problems)
  return { output: result.output, warnings: problemsOf([], found.warnings, document).map((warning) => describe(source, warning)) }
}

// A ConfigMap and a Secret hold at most 1 MiB.
const largestFile = '1MiB'

const fileFaults: Readonly<Record<string, string>> = {
  ENOENT: 'does not exist',
  ENOTDIR: 'does not exist: a part of the path is a file',
  EISDIR: 'is a folder, not a file',
  EACCES: 'cannot be read: permission denied',
  EPERM: 'cannot be read: permission denied',
}

/** Reads a text file of a config; throws `ConfigRefused` with a sentence. */
export async function readText(path: string): Promise<string> {
  try {
    const { size } = await stat(path)
    if (size > parseSize(largestFile)) throw refusal(path, `is larger than ${formatSize(parseSize(largestFile))}`)
    return new TextDecoder('utf-8', { fatal: true }).decode(await readFile(path))
  } catch (cause) {
    if (cause instanceof ConfigRefused) throw cause
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : ''
    if (code === 'ERR_ENCODING_INVALID_ENCODED_DATA') throw refusal(path, 'is not UTF-8 text')
    throw refusal(path, fileFaults[code] ?? `cannot be read (${code || 'for an unknown reason'})`)
  }
}

function refusal(source: string, message: string): ConfigRefused {
  return new ConfigRefused(source, [{ path: '', message } satisfies Problem])
}

function freeze<Value>(value: Value): Frozen<Value> {
  if (isMapping(value) || Array.isArray(value)) {
    Object.values(value).forEach(freeze)
    Object.freeze(value)
  }
  return value as Frozen<Value>
}
