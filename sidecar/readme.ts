import { readFileSync, writeFileSync } from 'node:fs'
import { environmentTable, settingsTable } from './config/reference.ts'
import { cell, code, markdownOf, type Table } from './markdown.ts'
import { catalogue } from './observe/catalogue.ts'
import { actions, kinds, type KindName } from './proxy/errors.ts'

export const readmeFile = new URL('../README.md', import.meta.url)

/** The tables of the README that come from tables of the code. */
const tables: Readonly<Record<string, () => Table>> = {
  metrics: () => ({
    header: ['metric', 'type', 'labels', 'what'],
    rows: Object.entries(catalogue).map(([name, { type, labels, help }]) => [code(name), type, labels.map(code).join(' '), cell(help)]),
  }),
  errors: () => ({
    header: ['kind', 'status', 'fault', 'what happened', 'what to do'],
    rows: Object.entries(kinds).map(([name, { status, fault, meaning }]) => [
      code(name),
      String(status),
      fault,
      cell(meaning),
      cell(actions[name as KindName]),
    ]),
  }),
  settings: settingsTable,
  environment: environmentTable,
}

/** The README with its tables made anew. */
export function withTables(readme: string): string {
  return Object.entries(tables).reduce((text, [name, table]) => between(text, name, markdownOf(table())), readme)
}

/** Replaces what stands between two comments that Markdown does not show. */
function between(text: string, name: string, body: string): string {
  const [begin, end] = [`<!-- ${name}: made by npm run docs -->\n`, `<!-- end of ${name} -->`]
  const [from, to] = [text.indexOf(begin), text.indexOf(end)]
  if (from < 0 || to < from) throw new Error(`the README has no place for its ${name}: ${begin.trim()} … ${end}`)
  return `${text.slice(0, from + begin.length)}${body}${text.slice(to)}`
}

if (import.meta.main) writeFileSync(readmeFile, withTables(readFileSync(readmeFile, 'utf8')))
