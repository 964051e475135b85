import { writeFileSync } from 'node:fs'
import { toJsonSchema } from '@valibot/to-json-schema'
import * as v from 'valibot'
import { isMapping } from './mapping.ts'
import { configSchema } from './schema.ts'

export const jsonSchemaFile = new URL('config.schema.json', import.meta.url)

/** The JSON Schema of a config as people write it, for editors; the text of `config.schema.json`. */
export function jsonSchema(): string {
  return schemaText({ title: 'Outrider config', ...(orVariable(converted(configSchema)) as object), definitions: { variable } })
}

export const schemaText = (schema: object): string => `${JSON.stringify(schema, withReason, 2)}\n`

/** Of any part of it: `${NAME}` is allowed only where any text is, for a profile from the broker cannot ask for variables. */
export const converted = (schema: v.GenericSchema): object =>
  toJsonSchema(schema, {
    typeMode: 'input',
    // What only code can check (two settings that must agree, an IP address) is left to the sidecar.
    errorMode: 'ignore',
    // Conversion stops where a duration becomes a number, and the words come after that: they are added here.
    overrideSchema: ({ valibotSchema, jsonSchema: made }) =>
      'wrapped' in valibotSchema ? { ...made, ...v.getMetadata(valibotSchema.wrapped as v.GenericSchema) } : undefined,
  })

const variable = { type: 'string', pattern: '\\$\\{[A-Za-z_]\\w*(?::-[^}]*)?\\}', description: 'Filled in from the environment.' }

/** Lets a variable stand wherever a text, a number or a truth value is bound to a form. */
function orVariable(schema: unknown): unknown {
  if (!isMapping(schema)) return schema
  const { properties, items, additionalProperties, anyOf, ...rest } = schema
  if (Array.isArray(anyOf)) return { ...rest, anyOf: [...anyOf.map(inside), reference] }
  const isForm = 'enum' in rest || 'const' in rest || 'pattern' in rest || ['number', 'integer', 'boolean'].includes(String(rest['type']))
  if (isForm) {
    const { description, reason, default: preset, ...form } = rest
    return { description, reason, default: preset, anyOf: [form, reference] }
  }
  return {
    ...rest,
    ...(isMapping(properties) && {
      properties: Object.fromEntries(Object.entries(properties).map(([name, value]) => [name, orVariable(value)])),
    }),
    ...(items !== undefined && { items: orVariable(items) }),
    ...(additionalProperties !== undefined && { additionalProperties: orVariable(additionalProperties) }),
  }
}

const reference = { $ref: '#/definitions/variable' }

/** Of alternatives, one more is enough for all; what they hold inside has its own. */
function inside(option: unknown): unknown {
  return isMapping(option) && ('properties' in option || 'items' in option) ? orVariable(option) : option
}

/** Editors show `description` alone, so the reason of a default becomes its last sentence. */
function withReason(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || !('reason' in value && 'description' in value)) return value
  const { reason, description, ...rest } = value
  return { ...rest, description: `${String(description)} Why this default: ${String(reason)}` }
}

if (import.meta.main) writeFileSync(jsonSchemaFile, jsonSchema())
