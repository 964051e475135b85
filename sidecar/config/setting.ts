import * as v from 'valibot'

/** What a setting does and, where it has a default, why that one. The JSON Schema and the help texts are made of these. */
export interface Help {
  readonly help: string
  readonly reason?: string
}

export interface Default<Value> extends Help {
  readonly default: Value
  readonly reason: string
}

type Explained<Schema extends v.GenericSchema> = v.SchemaWithPipe<
  readonly [Schema, v.MetadataAction<v.InferOutput<Schema>, Record<string, unknown>>]
>

/** A setting with a default. */
export function setting<const Schema extends v.GenericSchema, const Value extends v.InferInput<Schema>>(
  schema: Schema,
  about: Default<Value>,
): v.OptionalSchema<Explained<Schema>, Value> {
  return v.optional(explained(schema, about), about.default)
}

/** A setting that may be left out, and then is absent. */
export function optional<const Schema extends v.GenericSchema>(
  schema: Schema,
  about: Help,
): v.ExactOptionalSchema<Explained<Schema>, undefined> {
  return v.exactOptional(explained(schema, about))
}

/** A setting that must be written. */
export function required<const Schema extends v.GenericSchema>(schema: Schema, about: Help): Explained<Schema> {
  return explained(schema, about)
}

function explained<const Schema extends v.GenericSchema>(schema: Schema, { help, reason }: Help): Explained<Schema> {
  return v.pipe(schema, v.metadata<v.InferOutput<Schema>, Record<string, unknown>>({ description: help, ...(reason && { reason }) }))
}
