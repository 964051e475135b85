import type { Finding } from './agreement.ts'
import type { Document, Path } from './document.ts'
import type { Env } from './environmentNames.ts'
import { isMapping } from './mapping.ts'
import { nearest } from './nearest.ts'

// No setting lies deeper; what does is refused by the schema, and must not exhaust the stack before.
const deepest = 32

const reference = /\$(\$?)\{(?:([A-Za-z_]\w*)(?::-([^}]*))?\})?/g

export interface Expanded {
  readonly document: Document
  /** References that have no value: the values around them are not worth checking. */
  readonly unset: readonly Finding[]
}

/**
 * Puts variables of the environment where a text of the document says `${NAME}` or `${NAME:-default}`; `$${` stands for `${` itself. Done
 * on the values, not on the text of the file, so that a value can neither add settings nor break the syntax. Keys stay as they are.
 */
export function expand(document: Document, env: Env): Expanded {
  const origins = new Map<string, string>()
  const unset: Finding[] = []

  const expandText = (text: string, path: Path): string => {
    const names = new Set<string>()
    const missing = new Set<string>()
    let broken = false
    const made = text.replaceAll(reference, (whole, escaped: string, name?: string, instead?: string) => {
      // The tail of an escaped one was matched as well, and is plain text.
      if (escaped !== '') return whole.slice(1)
      if (name === undefined) {
        broken = true
        return whole
      }
      const value = Object.hasOwn(env, name) ? env[name] : undefined
      const filled = instead !== undefined && (value === undefined || value === '') ? instead : value
      if (filled === undefined) missing.add(name)
      else names.add(name)
      return filled ?? whole
    })
    if (broken) unset.push({ path, message: 'has a ${ that is not followed by NAME} or NAME:-default}; write $${ for the text itself' })
    else if (missing.size > 0) unset.push({ path, message: [...missing].map((name) => notSet(name, env)).join('; ') })
    if (names.size > 0) origins.set(keyOf(path), `what ${[...names].map((name) => `\${${name}}`).join(' and ')} stands for`)
    return made
  }

  const walk = (value: unknown, path: Path): unknown => {
    if (typeof value === 'string') return expandText(value, path)
    if (path.length >= deepest) return value
    if (Array.isArray(value)) return value.map((item, index) => walk(item, [...path, index]))
    if (isMapping(value)) return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, walk(item, [...path, key])]))
    return value
  }

  const value = walk(document.value, [])
  return { document: { ...document, value, originOf: (path) => origins.get(keyOf(path)) }, unset }
}

/** The environment knows texts only: turns one into the number or the truth value that is wanted in its place. */
export function retyped(document: Document, wanted: readonly { readonly path: Path; readonly type: string }[]): Document | undefined {
  let value = document.value
  for (const { path, type } of wanted) {
    if (document.originOf?.(path) !== undefined) value = replaced(value, path, (text) => typed(text, type))
  }
  return value === document.value ? undefined : { ...document, value }
}

function replaced(value: unknown, [step, ...rest]: Path, change: (value: unknown) => unknown): unknown {
  if (step === undefined) return change(value)
  if (Array.isArray(value)) return value.with(Number(step), replaced(value[Number(step)], rest, change))
  return isMapping(value) ? { ...value, [step]: replaced(value[step], rest, change) } : value
}

function typed(text: unknown, type: string): unknown {
  if (typeof text !== 'string') return text
  if (type === 'number' && /^-?\d{1,15}(?:\.\d{1,9})?$/.test(text)) return Number(text)
  if (type === 'boolean' && /^(?:true|false)$/.test(text)) return text === 'true'
  return text
}

function notSet(name: string, env: Env): string {
  // A name as long as that may be a key that somebody put into the wrong place.
  const near = nearest(
    name,
    Object.keys(env).filter((known) => known.length < 32),
  )
  const proposal = near === undefined ? '' : ` (did you mean \${${near}}?)`
  const shown = name.length < 32 ? `\${${name}}` : `a variable with a name of ${name.length} characters`
  return `refers to ${shown}, which the environment does not have${proposal}: set it, or write \${NAME:-default}`
}

const keyOf = (path: Path): string => JSON.stringify(path)
