import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, visit } from 'yaml'
import type { Document as Yaml, YAMLError } from 'yaml'
import type { Document, Path, Place } from './document.ts'
import type { Problem } from './refused.ts'

// Own sentences, since those of the parser quote the text, and the text may hold a key.
const sentences: Partial<Record<YAMLError['code'], string>> = {
  BAD_ALIAS: 'refers to an anchor that is not defined before it',
  BAD_DQ_ESCAPE: 'unknown escape after a backslash in double quotes; single quotes take text as it is',
  BAD_INDENT: 'wrong indentation, or a bracket further up is never closed',
  BAD_SCALAR_START: 'a text that starts with @, ` or another special character needs quotes',
  BLOCK_AS_IMPLICIT_KEY: 'two keys in one line, or a text with ": " that needs quotes',
  DUPLICATE_KEY: 'this key is already there above: keep one of the two',
  MISSING_CHAR: 'something is missing here, such as a closing quote, a comma, a bracket or the colon of a key',
  MULTILINE_IMPLICIT_KEY: 'a key must be on one line and end with a colon',
  MULTIPLE_DOCS: 'a second document starts here (---): one file holds one config',
  NON_STRING_KEY: 'a key must be a plain text',
  TAB_AS_INDENT: 'a tab in the indentation: use spaces',
  TAG_RESOLVE_FAILED: 'unknown tag (!name): write the plain value',
  UNEXPECTED_TOKEN: 'something stands here that does not belong: check quotes, brackets and indentation',
}

const tooDeep = 'is nested too deeply'

// A config has no need of more; a handful of nested anchors can otherwise grow to gigabytes.
const mostAliases = 100

export type Read =
  | { readonly document: Document; readonly problems?: never }
  | { readonly document?: never; readonly problems: readonly Problem[] }

/** Reads one YAML document into plain values; never throws. */
export function readYaml(text: string): Read {
  const lines = new LineCounter()
  const placeAt = (offset: number): Place => {
    const { line, col } = lines.linePos(offset)
    return { line, column: col }
  }
  try {
    // Any log level but silent: that one would also silence the error about a second document.
    const yaml = parseDocument(text, { lineCounter: lines, prettyErrors: false, stringKeys: true, logLevel: 'error' })
    const faults = [...yaml.errors, ...yaml.warnings].map(({ code, pos }) => ({
      message: `is not YAML: ${sentence(code)}`,
      offset: pos[0],
    }))
    // Where in such a text the parser gives up says nothing.
    if (yaml.errors.some(({ code }) => code === 'RESOURCE_EXHAUSTION')) return { problems: [{ path: '', message: tooDeep }] }
    const problems = firstOfEachPlace([...faults, ...danglingAliases(yaml)])
    if (problems.length > 0) return { problems: problems.map(({ message, offset }) => ({ path: '', message, ...placeAt(offset) })) }
    const value: unknown = yaml.toJS({ maxAliasCount: mostAliases })
    return { document: { value, placeOf: (path) => place(yaml, path, placeAt) } }
  } catch (cause) {
    // Out of stack, or too many aliases: all that the parser throws instead of collecting.
    const message = cause instanceof ReferenceError ? `has more than ${mostAliases} aliases (*name)` : tooDeep
    return { problems: [{ path: '', message }] }
  }
}

function sentence(code: YAMLError['code']): string {
  return sentences[code] ?? 'the syntax is broken here'
}

interface Fault {
  readonly message: string
  readonly offset: number
}

/** The parser keeps the text of an alias without an anchor for later, and then throws without a place. */
function danglingAliases(yaml: Yaml): Fault[] {
  const faults: Fault[] = []
  visit(yaml, {
    Alias(_key, alias) {
      if (alias.resolve(yaml)) return
      faults.push({
        message: 'an alias (*name) without its anchor (&name); a text that starts with * needs quotes',
        offset: alias.range?.[0] ?? 0,
      })
    },
  })
  return faults
}

/** After a slip the parser stumbles on, often many times at one place: only the first is of use. */
function firstOfEachPlace(faults: readonly Fault[]): Fault[] {
  const seen = new Set<number>()
  return faults.filter(({ offset }) => !seen.has(offset) && seen.add(offset)).slice(0, 10)
}

/** The place of a key in its mapping, of an item in its list; the nearest parent's where the path leaves the document. */
function place(yaml: Yaml, path: Path, placeAt: (offset: number) => Place): Place | undefined {
  let node: unknown = yaml.contents
  let offset = yaml.contents?.range?.[0]
  for (const step of path) {
    if (isAlias(node)) node = node.resolve(yaml)
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === String(step))
      if (!pair) break
      if (isScalar(pair.key)) offset = pair.key.range?.[0] ?? offset
      node = pair.value
    } else if (isSeq(node)) {
      const item = node.items[Number(step)]
      if (isScalar(item) || isMap(item) || isSeq(item)) offset = item.range?.[0] ?? offset
      node = item
    } else {
      break
    }
  }
  return offset === undefined ? undefined : placeAt(offset)
}
