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
    return { value: JSON.parse(text) as unknown, placeOf: () => undefined }
  } catch {
    // Perhaps YAML's own {a: 1}. If not, its parser says where it breaks and, unlike this error, does not quote the text.
    return undefined
  }
}
