/** Lets the first `limit` different values through and calls the rest `other`: a label that clients choose must not grow without end. */
export function bounded(limit: number, other: string): (value: string) => string {
  const known = new Set<string>()
  return (value) => {
    if (known.has(value)) return value
    if (known.size >= limit || value.length > 128) return other
    known.add(value)
    return value
  }
}
