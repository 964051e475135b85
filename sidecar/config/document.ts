import { ConfigRefused } from './refused.ts'

export type Path = readonly (string | number)[]

export interface Place {
  readonly line: number
  readonly column: number
}

/** A document as plain values, and where each of them stood, as far as that is known. */
export interface Document {
  readonly value: unknown
  readonly placeOf: (path: Path) => Place | undefined
  /** A better `placeOf`, for a price that only a document with problems is worth. */
  readonly locate?: () => Promise<Document['placeOf'] | undefined>
  /** For a value that came from variables, the words to use in its place: it is never shown. */
  readonly originOf?: (path: Path) => string | undefined
}

/** Reads a text as JSON or YAML; throws nothing but `ConfigRefused`. */
export async function readDocument(text: string, source: string): Promise<Document> {
  const json = asJson(text)
  if (json) return json
  // The parser costs several MiB, and profiles from the broker are JSON: it is loaded where a text needs it.
  const { readYaml } = await import('./yamlDocument.ts')
  const { problems, document } = readYaml(text)
  if (problems) throw new ConfigRefused(source, problems)
  return document
}

function asJson(text: string): Document | undefined {
  if (!/^\s*[{[]/.test(text)) return undefined
  try {
    return { value: JSON.parse(text) as unknown, placeOf: () => undefined, locate: () => placesIn(text) }
  } catch {
    // Perhaps YAML's own {a: 1}. If not, its parser says where it breaks and, unlike this error, does not quote the text.
    return undefined
  }
}

/** JSON is YAML. In a text of one line, as machines write it, a column of four digits helps nobody. */
async function placesIn(text: string): Promise<Document['placeOf'] | undefined> {
  if (!text.trim().includes('\n')) return undefined
  const { readYaml } = await import('./yamlDocument.ts')
  return readYaml(text).document?.placeOf
}
