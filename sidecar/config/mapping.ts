import * as v from 'valibot'

const reservedNames = ['__proto__', 'prototype', 'constructor']

/** A mapping with these keys and no others: unlike valibot's own it refuses a list, and reports every unknown key, not only the first. */
export function mapping<const Entries extends v.ObjectEntries>(
  entries: Entries,
  expected = 'must be a mapping',
): v.StrictObjectSchema<Entries, string> {
  const strict = v.strictObject(entries, expected)
  const open = v.object(entries, expected)
  const known = Object.keys(entries)
  const run: (typeof strict)['~run'] = (dataset, config) => {
    const input: unknown = dataset.value
    if (!isMapping(input)) {
      v._addIssue(strict, 'type', dataset, config)
      return dataset as never
    }
    const checked = open['~run'](dataset, config)
    for (const key of Object.keys(input)) {
      if (Object.hasOwn(entries, key)) continue
      const path: [v.ObjectPathItem] = [{ type: 'object', origin: 'key', input, key, value: input[key] }]
      v._addIssue({ ...strict, requirement: known }, 'key', checked, config, { input: key, expected: 'never', path })
    }
    return checked
  }
  // `~run` is what valibot calls on a nested schema; replacing it keeps the schema's type, and so its JSON Schema.
  return { ...strict, '~run': run }
}

/** A mapping from names of the user's choice; refuses a list, and names that valibot would drop without a word. */
export function named<const Value extends v.GenericSchema>(
  key: v.GenericSchema<string, string>,
  value: Value,
): v.RecordSchema<v.GenericSchema<string, string>, Value, string> {
  const plain = v.record(key, value, 'must be a mapping')
  const run: (typeof plain)['~run'] = (dataset, config) => {
    const input: unknown = dataset.value
    if (!isMapping(input)) {
      v._addIssue(plain, 'type', dataset, config)
      return dataset as never
    }
    const checked = plain['~run'](dataset, config)
    for (const reserved of reservedNames.filter((name) => Object.hasOwn(input, name))) {
      const path: [v.ObjectPathItem] = [{ type: 'object', origin: 'key', input, key: reserved, value: input[reserved] }]
      v._addIssue({ ...plain, message: 'cannot be used as a name' }, 'key', checked, config, { input: reserved, path })
    }
    return checked
  }
  return { ...plain, '~run': run }
}

export function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
