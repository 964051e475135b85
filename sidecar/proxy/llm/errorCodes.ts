export interface ErrorCodes {
  /** Every word by which the error names its kind, in lower case with spaces between. */
  readonly codes: string
  readonly message: string
}

const longest = 8 * 1024

/** What an error body says of itself, in any of the shapes that are about; nothing where it is none of them. */
export function errorCodes(body: Buffer): ErrorCodes {
  const text = body.toString('utf8', 0, longest)
  try {
    return codesOf(JSON.parse(text))
  } catch {
    // Cut off, or no JSON at all: the words are looked for in what there is.
    return { codes: text.toLowerCase(), message: text }
  }
}

function codesOf(document: unknown): ErrorCodes {
  // Gemini's compatible surface puts its errors into a list.
  const outer = fields(Array.isArray(document) ? document[0] : document)
  const inner = typeof outer['error'] === 'string' ? { message: outer['error'] } : fields(outer['error'])
  const names = [outer, inner, fields(inner['innererror'])].flatMap((of) => [of['type'], of['code'], of['status'], of['param']])
  return {
    codes: names.filter((name) => typeof name === 'string').join(' ').toLowerCase(),
    message: String(inner['message'] ?? outer['message'] ?? ''),
  }
}

const fields = (value: unknown): Readonly<Record<string, unknown>> => (typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {})
