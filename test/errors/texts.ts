import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const root = join(import.meta.dirname, '../../sidecar')

/** A text that the program says, as it stands in the source. */
export interface Text {
  /** Where it stands, such as `proxy/layers/admit.ts`. */
  readonly file: string
  readonly text: string
  /** What is said of it, whatever is filled in. */
  readonly pattern: RegExp
}

/** The texts behind `begin`, up to the end of the literal; those that are put together elsewhere are left out. */
export function textsBehind(begin: RegExp, under = ''): Text[] {
  // In what is filled in, there may be templates again.
  const filled = /\$\{(?:[^{}`]|`[^`]*`)*\}/.source
  const literal = new RegExp(`\\s*(?:'((?:[^'\\\\]|\\\\.)*)'|\`((?:${filled}|[^\`\\\\]|\\\\.)*)\`|"((?:[^"\\\\]|\\\\.)*)")`, 'y')
  return filesUnder(join(root, under)).flatMap((path) => {
    const source = readFileSync(path, 'utf8')
    return [...source.matchAll(new RegExp(begin, 'g'))].flatMap((found) => {
      literal.lastIndex = found.index + found[0].length
      const [, single, template, double] = literal.exec(source) ?? []
      const text = (single ?? template ?? double)?.replaceAll(/\\(['"`$])/g, '$1')
      return text === undefined || text === '' ? [] : [{ file: path.slice(root.length + 1), text, pattern: patternOf(text) }]
    })
  })
}

/** Each of them is in what was heard, or has a reason why it is not; no reason outlives its text. */
export function allHeard(texts: readonly Text[], heard: string, excused: Readonly<Record<string, string>>): void {
  const missing = texts.filter(({ text, pattern }) => !pattern.test(heard) && !Object.hasOwn(excused, text))
  assert.deepEqual(
    missing.map(({ file, text }) => `${file}: ${text}`),
    [],
  )
  for (const text of Object.keys(excused)) {
    const known = texts.find((one) => one.text === text)
    assert.ok(known !== undefined, `no longer said: ${text}`)
    assert.ok(!known.pattern.test(heard), `heard after all: ${text}`)
  }
}

function patternOf(text: string): RegExp {
  // What is filled in may be nothing.
  return new RegExp(
    text
      .split(/\$\{(?:[^{}`]|`[^`]*`)*\}/)
      .map((part) => RegExp.escape(part.trim()))
      .join('[^]{0,400}?'),
  )
}

function filesUnder(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map(({ parentPath, name }) => join(parentPath, name))
    .toSorted()
}
