import { readFileSync, writeFileSync } from 'node:fs'
import { actions, kinds, type KindName } from '../proxy/errors.ts'
import { catalogue } from './catalogue.ts'

export const readmeFile = new URL('../../README.md', import.meta.url)

/** The README's tables that come from tables of the code, each between its markers: `npm run docs` writes them. */
export const tables: Readonly<Record<string, () => string>> = {
  metrics: () =>
    table(
      ['metric', 'type', 'labels', 'what'],
      Object.entries(catalogue).map(([name, { type, labels, help }]) => [`\`${name}\``, type, labels.map(quoted).join(' '), help]),
    ),
  errors: () =>
    table(
      ['kind', 'status', 'fault', 'what happened', 'what to do'],
      Object.entries(kinds).map(([name, { status, fault, meaning }]) => [
        `\`${name}\``,
        String(status),
        fault,
        meaning,
        actions[name as KindName],
      ]),
    ),
}

const quoted = (label: string): string => `\`${label}\``

function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |\n`
  return `${line(header)}|${header.map(() => '---|').join('')}\n${rows.map(line).join('')}`
}

/** The text with each table put between its markers anew. */
export function written(readme: string): string {
  let text = readme
  for (const [name, make] of Object.entries(tables)) {
    const begin = `<!-- ${name}: written by npm run docs -->\n`
    const end = `<!-- end of ${name} -->`
    const from = text.indexOf(begin)
    const to = text.indexOf(end)
    if (from < 0 || to < from) throw new Error(`README.md has no markers for the table of ${name}`)
    text = `${text.slice(0, from)}${begin}\n${make()}\n${text.slice(to)}`
  }
  return text
}

if (import.meta.main) writeFileSync(readmeFile, written(readFileSync(readmeFile, 'utf8')))
