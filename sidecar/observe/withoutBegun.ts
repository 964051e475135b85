const gone = '[redacted]'

/** Fewer letters of a key are no help to anyone. */
const fewest = 4

/** The text without the beginning of a key at its end, where it broke off. */
export function withoutBegun(text: string, keys: readonly string[]): string {
  let longest = 0
  for (const key of keys) {
    let length = Math.min(key.length - 1, text.length)
    while (length >= fewest && !text.endsWith(key.slice(0, length))) length--
    if (length >= fewest && length > longest) longest = length
  }
  return longest === 0 ? text : text.slice(0, -longest) + gone
}
