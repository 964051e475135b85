import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { valuesSchema, valuesSchemaFile } from '../../sidecar/injector/valuesSchema.ts'

interface Json {
  readonly properties: Readonly<Record<string, Json>>
  readonly additionalProperties: Json
}

const written = await readFile(valuesSchemaFile, 'utf8')

test('what the schema of the chart says of profiles is what the code says; if not: npm run docs', () => {
  assert.deepEqual(JSON.parse(written), JSON.parse(valuesSchema(written)))
})

test('it knows every part of a profile, no variables, and no expression that Helm cannot read', () => {
  const { properties } = JSON.parse(written) as Json
  const profile = properties['profiles']?.additionalProperties.properties
  assert.ok(profile?.['config']?.properties['upstreams'])
  assert.ok(profile['secret']?.properties['keys'])
  assert.ok(profile['inject']?.properties['memoryLimit'])
  assert.doesNotMatch(written, /\$ref|\(\?<?[=!]/)
})
