/** Names in lower case; a header that came more than once is a list. */
export type Headers = Record<string, string | string[] | undefined>

/** The value of a header among names and values in turn, the first where there are several; empty where there is none. `wanted` is in lower case. */
export function headerOf(headers: readonly string[], wanted: string): string {
  for (let at = 0; at < headers.length; at += 2) {
    const name = headers[at] ?? ''
    if (name.length === wanted.length && name.toLowerCase() === wanted) return headers[at + 1] ?? ''
  }
  return ''
}
