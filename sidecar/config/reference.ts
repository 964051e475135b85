import * as v from 'valibot'
import { cell, code, type Table } from '../markdown.ts'
import { environmentNames } from './environmentNames.ts'
import { configSchema } from './schema.ts'

/** What a config file can say. */
export const settingsTable = (): Table => ({
  header: ['setting', 'default', 'what, and *why this default*'],
  rows: [...settingsOf(configSchema, '')].map(({ path, standing, help, reason }) => {
    const why = reason === undefined ? '' : ` *${cell(reason)}*`
    return [code(path), standing, `${cell(help)}${why}`]
  }),
})

/** What the environment alone can. */
export const environmentTable = (): Table => ({
  header: ['variable', 'what'],
  rows: environmentNames.map(({ names, help }) => [names.map(code).join(' '), cell(help)]),
})

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
