/** What an error body says, all in lower case; empty where it says nothing. */
export interface Said {
  readonly message: string
  readonly type: string
  readonly code: string
  /** The name of the status at Google. */
  readonly state: string
  /** A status that stands in the body. */
  readonly status: number | undefined
  /** The limit that was hit is one of a whole day. */
  readonly perDay: boolean
}

const nothing: Said = { message: '', type: '', code: '', state: '', status: undefined, perDay: false }
/** Errors are short; what is longer is a page for browsers. */
const longest = 8 * 1024

/**
 * Reads the errors of OpenAI, Anthropic, Gemini (a list of one), older vLLM (no `error` around it), FastAPI and Ollama. A page for browsers
 * says nothing, and of JSON that breaks off its first words count.
 */
export function errorSaid(start: Buffer | undefined): Said {
  if (start === undefined || start.length === 0) return nothing
  const text = start.toString('utf8', 0, longest)
  const perDay = /PerDay/.test(text)
  try {
    return { ...fields(JSON.parse(text)), perDay }
  } catch {
    return /^\s*[{[]/.test(text) ? { ...firstWords(text), perDay } : nothing
  }
}

function fields(value: unknown): Said {
  const whole = record(Array.isArray(value) ? value[0] : value)
  if (whole === undefined) return nothing
  const event = record(whole['response']) ?? whole
  const error = record(event['error'])
  const inner = error ?? whole
  const message = word(inner['message']) ?? word(whole['error']) ?? word(whole['detail']) ?? ''
  // A broker of providers hands on what it was told.
  const raw = word(record(inner['metadata'])?.['raw']) ?? ''
  return {
    message: `${message}${raw === '' ? '' : ` ${raw}`}`.toLowerCase(),
    type: (word(inner['type']) ?? '').toLowerCase(),
    code: (word(inner['code']) ?? '').toLowerCase(),
    state: (word(inner['status']) ?? '').toLowerCase(),
    status: statusIn(inner['code']) ?? statusIn(inner['status']),
    perDay: false,
  }
}

const record = (value: unknown): Record<string, unknown> | undefined =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : undefined

const word = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined)

function statusIn(value: unknown): number | undefined {
  const number = typeof value === 'string' && /^\d{3}$/.test(value) ? Number(value) : value
  return typeof number === 'number' && number >= 400 && number <= 599 ? number : undefined
}

function firstWords(text: string): Said {
  const said = (name: string): string => (new RegExp(`"${name}"\\s*:\\s*"((?:[^"\\\\]|\\\\.){0,1000})`).exec(text)?.[1] ?? '').toLowerCase()
  const code = /"code"\s*:\s*(\d{3})\b/.exec(text)?.[1]
  // Of Anthropic's the first type is that of the envelope.
  const types = [...text.matchAll(/"type"\s*:\s*"([^"]{0,100})"/g)].map(([, type]) => type?.toLowerCase() ?? '')
  return {
    message: said('message'),
    type: types.find((type) => type !== 'error') ?? '',
    code: said('code'),
    state: said('status'),
    status: statusIn(code),
    perDay: false,
  }
}
