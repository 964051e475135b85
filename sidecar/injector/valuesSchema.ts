import { readFileSync, writeFileSync } from 'node:fs'
import { isMapping } from '../config/mapping.ts'
import { converted, schemaText } from '../config/jsonSchema.ts'
import { profileSchema } from './profile.ts'

export const valuesSchemaFile = new URL('../../chart/values.schema.json', import.meta.url)

/** The JSON Schema of the chart's values as it is written, with what a profile can say as the code has it. */
export function valuesSchema(written: string): string {
  const values = JSON.parse(written) as { properties: { profiles: object } }
  const { $schema: _ofDocuments, ...profile } = forHelm(converted(profileSchema)) as Record<string, unknown>
  const profiles = { ...values.properties.profiles, additionalProperties: profile }
  return schemaText({ ...values, properties: { ...values.properties, profiles } })
}

/** Helm's expressions are those of Go, which know no looking ahead; the injector checks these texts all the same. */
function forHelm(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(forHelm)
  if (!isMapping(schema)) return schema
  const kept = Object.entries(schema).filter(([name, value]) => !(name === 'pattern' && /\(\?<?[=!]/.test(String(value))))
  return Object.fromEntries(kept.map(([name, value]) => [name, forHelm(value)]))
}

if (import.meta.main) writeFileSync(valuesSchemaFile, valuesSchema(readFileSync(valuesSchemaFile, 'utf8')))
