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
