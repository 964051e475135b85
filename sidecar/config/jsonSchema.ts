import { writeFileSync } from 'node:fs'
import { toJsonSchema } from '@valibot/to-json-schema'
import * as v from 'valibot'
import { configSchema } from './schema.ts'

export const jsonSchemaFile = new URL('config.schema.json', import.meta.url)

/** The JSON Schema of a config as people write it, for editors and for the chart's values; the text of `config.schema.json`. */
export function jsonSchema(): string {
  const converted = toJsonSchema(configSchema, {
    typeMode: 'input',
    // What only code can check (two settings that must agree, an IP address) is left to the sidecar.
    errorMode: 'ignore',
    // Conversion stops where a duration becomes a number, and the words come after that: they are added here.
    overrideSchema: ({ valibotSchema, jsonSchema: made }) =>
      'wrapped' in valibotSchema ? { ...made, ...v.getMetadata(valibotSchema.wrapped as v.GenericSchema) } : undefined,
  })
  const titled = { title: 'Outrider config', ...converted }
  return `${JSON.stringify(titled, withReason, 2)}\n`
}

/** Editors show `description` alone, so the reason of a default becomes its last sentence. */
function withReason(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || !('reason' in value && 'description' in value)) return value
  const { reason, description, ...rest } = value
  return { ...rest, description: `${String(description)} Why this default: ${String(reason)}` }
}

if (import.meta.main) writeFileSync(jsonSchemaFile, jsonSchema())
