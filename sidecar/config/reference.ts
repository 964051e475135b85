import { readFileSync, writeFileSync } from 'node:fs'
import * as v from 'valibot'
import { environmentNames } from './environmentNames.ts'
import { annotationsTable } from '../injector/annotations.ts'
import { profileSchema } from '../injector/profile.ts'
import { configSchema } from './schema.ts'

export const readmeFile = new URL('../../README.md', import.meta.url)

/** The README with its tables made anew: what a config file can say, what the environment alone can, what a pod and what a profile. */
export function withReferences(readme: string): string {
  const tables = {
    settings: settingsTable(settingsOf(configSchema, '')),
    environment: environmentTable(),
    annotations: annotationsTable(),
    // What stands under config is the first table.
    profile: settingsTable([...settingsOf(profileSchema, '')].filter(({ path }) => !path.startsWith('config.'))),
  }
  return Object.entries(tables).reduce((text, [name, table]) => between(text, name, table), readme)
}

/** Replaces what stands between two comments that Markdown does not show. */
function between(text: string, name: string, body: string): string {
  const [begin, end] = [`<!-- ${name}: made by npm run docs -->\n`, `<!-- end of ${name} -->`]
  const [from, to] = [text.indexOf(begin), text.indexOf(end)]
  if (from < 0 || to < from) throw new Error(`the README has no place for its ${name}: ${begin.trim()} … ${end}`)
  return `${text.slice(0, from + begin.length)}${body}${text.slice(to)}`
}

function settingsTable(settings: Iterable<Row>): string {
  const rows = [...settings].map(({ path, standing, help, reason }) => {
    const why = reason === undefined ? '' : ` *${cell(reason)}*`
    return `| \`${path}\` | ${standing} | ${cell(help)}${why} |\n`
  })
  return `| setting | default | what, and *why this default* |\n|---|---|---|\n${rows.join('')}`
}

function environmentTable(): string {
  const rows = environmentNames.map(({ names, help }) => `| ${names.map((name) => `\`${name}\``).join(' ')} | ${cell(help)} |\n`)
  return `| variable | what |\n|---|---|\n${rows.join('')}`
}

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('*', '\\*').replaceAll('<', '&lt;')

interface Row {
  readonly path: string
  readonly standing: string
  readonly help: string
  readonly reason?: string
}

/** Every setting that is more than a mapping of others, in the order in which it is declared. */
function* settingsOf(schema: object, path: string): Generator<Row> {
  if ('entries' in schema) {
    for (const [key, entry] of Object.entries(schema.entries as v.ObjectEntries))
      yield* settingOf(entry, path === '' ? key : `${path}.${key}`)
  } else if ('item' in schema) yield* settingsOf(schema.item as object, `${path}[]`)
  else if ('value' in schema && isObject(schema.value)) yield* settingsOf(schema.value, `${path}.NAME`)
  else if ('options' in schema) for (const option of schema.options as unknown[]) if (isObject(option)) yield* settingsOf(option, path)
}

function* settingOf(entry: v.GenericSchema | v.ObjectEntries[string], path: string): Generator<Row> {
  const wrapped = 'wrapped' in entry ? (entry.wrapped as v.GenericSchema) : (entry as v.GenericSchema)
  const { description, reason } = v.getMetadata(wrapped)
  const inside = [...settingsOf(wrapped, path)]
  const preset = 'default' in entry ? (entry.default as unknown) : undefined
  const isSection = 'entries' in wrapped && preset !== undefined
  if (!isSection) {
    const standing = 'wrapped' in entry ? (preset === undefined ? '' : `\`${spelled(preset)}\``) : 'needed'
    yield { path, standing, help: String(description), ...(typeof reason === 'string' && { reason }) }
  }
  yield* inside
}

const spelled = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value))

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null

if (import.meta.main) writeFileSync(readmeFile, withReferences(readFileSync(readmeFile, 'utf8')))
