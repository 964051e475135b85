/** The part of JSON Schema that clients use for tools and structured answers. */
export type Schema = {
  readonly type?: string | readonly string[]
  readonly const?: unknown
  readonly enum?: readonly unknown[]
  readonly default?: unknown
  readonly properties?: Readonly<Record<string, Schema>>
  readonly items?: Schema
  readonly minItems?: number
  readonly minLength?: number
  readonly minimum?: number
  readonly exclusiveMinimum?: number
  readonly maximum?: number
  readonly format?: string
  readonly anyOf?: readonly Schema[]
  readonly oneOf?: readonly Schema[]
  readonly allOf?: readonly Schema[]
  readonly $ref?: string
  readonly $defs?: Readonly<Record<string, Schema>>
  readonly definitions?: Readonly<Record<string, Schema>>
}

// A schema may refer to itself; below this depth optional values are left out.
const deepest = 8

const formats: Readonly<Record<string, string>> = {
  date: '2026-01-31',
  'date-time': '2026-01-31T12:00:00Z',
  time: '12:00:00Z',
  email: 'ada@model.example',
  uuid: '00000000-0000-4000-8000-000000000000',
  uri: 'https://model.example/',
}

/** A value that satisfies a simple schema. `word` fills the strings. */
export function sample(schema: Schema, word = 'demo', root = schema, depth = 0): unknown {
  if (schema.const !== undefined) return schema.const
  if (schema.enum !== undefined) return schema.enum[0]
  if (schema.default !== undefined) return schema.default
  if (schema.$ref !== undefined) return sample(resolve(schema.$ref, root), word, root, depth + 1)
  const branches = schema.anyOf ?? schema.oneOf
  if (branches !== undefined) return sample(pick(branches, depth), word, root, depth + 1)
  if (schema.allOf !== undefined) return Object.assign({}, ...schema.allOf.map((part) => sample(part, word, root, depth + 1)))
  switch (typeOf(schema)) {
    case 'object':
      return objectOf(schema, word, root, depth)
    case 'array':
      return arrayOf(schema, word, root, depth)
    case 'integer':
    case 'number':
      return numberOf(schema)
    case 'boolean':
      return true
    case 'null':
      return null
    default:
      return stringOf(schema, word)
  }
}

function typeOf({ type, properties, items }: Schema): string {
  if (typeof type === 'string') return type
  if (type !== undefined) return type.find((name) => name !== 'null') ?? 'null'
  if (properties !== undefined) return 'object'
  return items === undefined ? 'string' : 'array'
}

/** The first branch, and deep down the one that ends: `null` where there is one. */
function pick(branches: readonly Schema[], depth: number): Schema {
  const end = depth < deepest ? undefined : branches.find(({ type }) => type === 'null')
  return end ?? branches[0] ?? {}
}

function resolve(ref: string, root: Schema): Schema {
  if (ref === '#') return root
  const name = ref.slice(ref.lastIndexOf('/') + 1)
  return root.$defs?.[name] ?? root.definitions?.[name] ?? {}
}

function objectOf({ properties = {} }: Schema, word: string, root: Schema, depth: number): object {
  if (depth > deepest * 2) return {}
  return Object.fromEntries(Object.entries(properties).map(([name, schema]) => [name, sample(schema, word, root, depth + 1)]))
}

function arrayOf({ items = {}, minItems = 1 }: Schema, word: string, root: Schema, depth: number): unknown[] {
  if (depth > deepest) return []
  return Array.from({ length: minItems }, () => sample(items, word, root, depth + 1))
}

function numberOf({ type, minimum, exclusiveMinimum, maximum }: Schema): number {
  const least = minimum ?? (exclusiveMinimum === undefined ? 1 : exclusiveMinimum + 1)
  const value = type === 'integer' ? Math.ceil(least) : least
  return maximum === undefined ? value : Math.min(value, maximum)
}

function stringOf({ format, minLength = 0 }: Schema, word: string): string {
  return (format === undefined ? undefined : formats[format]) ?? word.padEnd(minLength, '.')
}
