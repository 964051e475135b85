import { parseArgs } from 'node:util'
import { nearest } from './config/nearest.ts'

/** A command line that cannot be understood; the message says what to write instead. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** `string` takes a value, `boolean` stands for itself. */
export type Kinds = Readonly<Record<string, 'string' | 'boolean'>>

export type Values<Options extends Kinds> = { readonly [Name in keyof Options]?: Options[Name] extends 'string' ? string : true }

/** Reads the options of a command. Not strict, for Node's own messages talk of positional arguments to people who mistyped a letter. */
export function optionsOf<const Options extends Kinds>(command: string, args: readonly string[], kinds: Options): Values<Options> {
  const options = Object.fromEntries(Object.entries(kinds).map(([name, type]) => [name, { type }]))
  const { tokens } = parseArgs({ args: [...args], options, strict: false, tokens: true })
  const values: Record<string, string | true> = {}
  for (const token of tokens) {
    if (token.kind === 'option-terminator') continue
    if (token.kind === 'positional') throw new UsageError(`${command} takes options only, and "${token.value}" is none.`)
    const { name, rawName, value } = token
    const kind = Object.hasOwn(kinds, name) ? kinds[name] : undefined
    if (kind === undefined) throw new UsageError(`${command} has no option ${rawName}.${proposal(name, Object.keys(kinds), '--')}`)
    if (kind === 'boolean') {
      if (value !== undefined) throw new UsageError(`${rawName} takes no value.`)
      values[name] = true
    } else {
      if (value === undefined || value === '' || value.startsWith('--')) throw new UsageError(`${rawName} needs a value.`)
      values[name] = value
    }
  }
  return values as Values<Options>
}

/** ` Did you mean ...?`, or nothing where nothing is near. */
export function proposal(written: string, names: readonly string[], before = ''): string {
  const name = nearest(written, names)
  return name === undefined ? '' : ` Did you mean ${before}${name}?`
}
