import { skipSpace, valueEnd } from '../body.ts'
import { eachMember, stringAt } from '../members.ts'

/** What the last object of a list says in words, by name; nothing where that is no list of objects. */
export function lastOf(body: Buffer, from: number, to: number): ReadonlyMap<string, string> {
  const words = new Map<string, string>()
  if (body[from] !== 0x5b) return words
  let last: Buffer | undefined
  let at = skipSpace(body, from + 1)
  while (at < to - 1) {
    const end = valueEnd(body, at)
    if (end <= at) return words
    last = body.subarray(at, end)
    const comma = skipSpace(body, end)
    if (body[comma] !== 0x2c) break
    at = skipSpace(body, comma + 1)
  }
  const object = last
  if (object === undefined) return words
  eachMember(object, (name, start, end) => {
    const word = stringAt(object, start, end)
    if (word !== undefined) words.set(name, word)
  })
  return words
}
