import { parseArgs } from 'node:util'
import { nearest } from './config/nearest.ts'

/** A command line that cannot be understood; the message says what to write instead. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** `string` takes a value, `boolean` stands for itself. */
export type Kinds = Readonly<Record<string, 'string' | 'boolean'>>

export type Values<Options extends Kinds> = { readonly [Name in keyof Options]?: Options[Name] extends 'string' ? string : true }

/** Reads the options of a command that takes nothing else. */
export function optionsOf<const Options extends Kinds>(command: string, args: readonly string[], kinds: Options): Values<Options> {
  const { values, operands } = argumentsOf(command, args, kinds)
  if (operands[0] !== undefined) throw new UsageError(`${command} takes options only, and "${operands[0]}" is none.`)
  return values
}

/** Reads options and what stands between them. Not strict, for Node's own messages talk of positional arguments to people who mistyped a letter. */
export function argumentsOf<const Options extends Kinds>(
  command: string,
  args: readonly string[],
  kinds: Options,
): { values: Values<Options>; operands: readonly string[] } {
  const options = Object.fromEntries(Object.entries(kinds).map(([name, type]) => [name, { type }]))
  const { tokens } = parseArgs({ args: [...args], options, strict: false, tokens: true })
  const values: Record<string, string | true> = {}
  const operands: string[] = []
  for (const token of tokens) {
    if (token.kind === 'option-terminator') continue
    if (token.kind === 'positional') {
      operands.push(token.value)
      continue
    }
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
  return { values: values as Values<Options>, operands }
}

/** A port that was written on the command line. */
export function portOf(written: string | undefined, least: 0 | 1): number | undefined {
  if (written === undefined) return undefined
  const port = Number(written)
  if (/^\d{1,5}$/.test(written) && port >= least && port <= 65_535) return port
  throw new UsageError(`--port must be a number from ${least} to 65535, not "${written}".`)
}

/** ` Did you mean ...?`, or nothing where nothing is near. */
export function proposal(written: string, names: readonly string[], before = ''): string {
  const name = nearest(written, names)
  return name === undefined ? '' : ` Did you mean ${before}${name}?`
}
