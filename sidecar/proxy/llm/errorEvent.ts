/** The data of the first event of a stream, where that event is an error; most are not, and cost one search. */
export function errorEventIn(first: Buffer): Buffer | undefined {
  if (!first.includes('error')) return undefined
  const event = first.toString('utf8').split(/\r\n\r\n|\n\n|\r\r/, 1)[0] ?? ''
  const data = event
    .split(/\r\n|\n|\r/)
    .filter((line) => line.startsWith('data:'))
    .map((line) => line.slice(line[5] === ' ' ? 6 : 5))
    .join('\n')
  try {
    return isError(JSON.parse(data)) ? Buffer.from(data) : undefined
  } catch {
    return /^event: ?error$/m.test(event) ? Buffer.from(data) : undefined
  }
}

/** A word about errors is none: models write about them, and events of answers that go well have an empty place for one. */
function isError(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  const { type, error, choices } = value as Record<string, unknown>
  if (type === 'error' || type === 'response.failed') return true
  return error !== undefined && error !== null && (!Array.isArray(choices) || choices.length === 0)
}
