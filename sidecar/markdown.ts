/** A table of a document that is made from the code; its cells are Markdown. */
export interface Table {
  readonly header: readonly string[]
  readonly rows: readonly (readonly string[])[]
}

export function markdownOf({ header, rows }: Table): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |\n`
  return `${line(header)}|${'---|'.repeat(header.length)}\n${rows.map(line).join('')}`
}

/** Plain text as it must be written inside of a cell. */
export const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('*', '\\*').replaceAll('<', '&lt;')

export const code = (text: string): string => `\`${text}\``
