import { strict as assert } from 'node:assert'
import { readFile } from 'node:fs/promises'
import { suite, test } from 'node:test'
import * as v from 'valibot'
import { jsonSchema, jsonSchemaFile } from '../../sidecar/config/jsonSchema.ts'
import { configSchema } from '../../sidecar/config/schema.ts'

test('the JSON Schema in the repository is that of the code; if not: npm run docs', async () => {
  assert.deepEqual(JSON.parse(await readFile(jsonSchemaFile, 'utf8')), JSON.parse(jsonSchema()))
})

test('a variable may stand where a number, a truth value or a text of a form is wanted', () => {
  const { properties, definitions } = JSON.parse(jsonSchema()) as {
    properties: Record<string, Json>
    definitions: { variable: { pattern: string } }
  }
  const port = properties['listen']?.properties?.['port']
  assert.deepEqual(port?.anyOf, [{ type: 'integer', minimum: 0, maximum: 65_535 }, { $ref: '#/definitions/variable' }])
  assert.equal(port?.default, 8080)
  assert.deepEqual(properties['log']?.properties?.['level']?.anyOf?.[1], { $ref: '#/definitions/variable' })
  for (const text of ['${A}', 'https://${HOST:-a}:1']) assert.match(text, new RegExp(definitions.variable.pattern))
  for (const text of ['$A', '${}', '${1}', '8080']) assert.doesNotMatch(text, new RegExp(definitions.variable.pattern))
})

interface Json {
  readonly properties?: Readonly<Record<string, Json>>
  readonly anyOf?: readonly object[]
  readonly default?: unknown
}

suite('every setting', () => {
  const settings = [...settingsOf(configSchema, '')]

  test('is found by this test', () => {
    const paths = settings.map(({ path }) => path)
    assert(paths.length > 60)
    for (const path of ['.listen.port', '.upstreams[].tls.ca', '.credentials.*.value', '.clients[].sha256'])
      assert(paths.includes(path), path)
  })

  for (const { path, schema } of settings) {
    test(`${path} says what it does and, if it has a default, why that one`, () => {
      const wrapped = 'wrapped' in schema ? (schema.wrapped as v.GenericSchema) : schema
      const { description, reason } = v.getMetadata(wrapped)
      assert.match(String(description), /^[A-Z].*\.$/)
      const defaulted = 'default' in schema && schema.default !== undefined
      if (defaulted && !('entries' in wrapped)) assert.match(String(reason), /^[A-Z].*\.$/)
    })
  }
})

function* settingsOf(schema: object, path: string): Generator<{ path: string; schema: v.GenericSchema }> {
  if ('wrapped' in schema) yield* settingsOf(schema.wrapped as object, path)
  else if ('entries' in schema) {
    for (const [key, entry] of Object.entries(schema.entries as v.ObjectEntries)) {
      yield { path: `${path}.${key}`, schema: entry as v.GenericSchema }
      yield* settingsOf(entry, `${path}.${key}`)
    }
  } else if ('item' in schema) yield* settingsOf(schema.item as object, `${path}[]`)
  else if ('value' in schema && typeof schema.value === 'object' && schema.value !== null) yield* settingsOf(schema.value, `${path}.*`)
  else if ('options' in schema) {
    for (const option of schema.options as unknown[]) if (typeof option === 'object' && option !== null) yield* settingsOf(option, path)
  }
}
