import { isDeepStrictEqual } from 'node:util'
import { isMapping } from '../config/mapping.ts'
import { textOf } from './raw.ts'

/** RFC 6902, as far as it is needed. */
export type Operation =
  | { readonly op: 'add' | 'replace'; readonly path: string; readonly value: unknown }
  | { readonly op: 'remove'; readonly path: string }

/** What leads from one value to the other, touching nothing that is the same in both: others may have plans with it too. */
export function patchOf(before: unknown, after: unknown, path = ''): readonly Operation[] {
  if (before === after) return []
  if (isMapping(before) && isMapping(after)) return ofMappings(before, after, path)
  if (Array.isArray(before) && Array.isArray(after)) return ofLists(before, after, path)
  return isDeepStrictEqual(before, after) ? [] : [{ op: 'replace', path, value: after }]
}

type Mapping = Readonly<Record<string, unknown>>

function ofMappings(before: Mapping, after: Mapping, path: string): readonly Operation[] {
  const gone = Object.keys(before).filter((key) => !Object.hasOwn(after, key))
  return [
    ...gone.map((key): Operation => ({ op: 'remove', path: below(path, key) })),
    ...Object.entries(after).flatMap(([key, value]): readonly Operation[] =>
      Object.hasOwn(before, key) ? patchOf(before[key], value, below(path, key)) : [{ op: 'add', path: below(path, key), value }],
    ),
  ]
}

/** Items are told apart by their names, so that one put in front of the others is one operation and not a change of all. */
function ofLists(before: readonly unknown[], after: readonly unknown[], path: string): readonly Operation[] {
  const kept = inBoth(before.map(keyOf), after.map(keyOf))
  const operations: Operation[] = []
  let at = 0
  let next = 0
  const addUntil = (end: number): void => {
    for (; next < end; next++) operations.push({ op: 'add', path: below(path, String(at++)), value: after[next] })
  }
  for (const [index, item] of before.entries()) {
    const partner = kept.get(index)
    if (partner === undefined) {
      operations.push({ op: 'remove', path: below(path, String(at)) })
      continue
    }
    addUntil(partner)
    operations.push(...patchOf(item, after[partner], below(path, String(at++))))
    next = partner + 1
  }
  addUntil(after.length)
  return operations
}

const below = (path: string, key: string): string => `${path}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`

function keyOf(item: unknown): string {
  const name = isMapping(item) ? textOf(item['name']) : undefined
  return name === undefined ? JSON.stringify(item) : `name ${name}`
}

/** The longest run of keys that both lists have in the same order, as index in the first → index in the second. */
function inBoth(before: readonly string[], after: readonly string[]): ReadonlyMap<number, number> {
  const found = new Map<number, number>()
  let from = 0
  while (from < before.length && from < after.length && before[from] === after[from]) found.set(from, from++)
  let [end, afterEnd] = [before.length, after.length]
  while (end > from && afterEnd > from && before[end - 1] === after[afterEnd - 1]) found.set(--end, --afterEnd)
  const lengths = lengthsOf(before.slice(from, end), after.slice(from, afterEnd))
  let [row, column] = [0, 0]
  while (row < end - from && column < afterEnd - from) {
    if (before[from + row] === after[from + column]) found.set(from + row++, from + column++)
    else if ((lengths[row + 1]?.[column] ?? 0) >= (lengths[row]?.[column + 1] ?? 0)) row++
    else column++
  }
  return found
}

/** How long a common run can still become from each pair of places on. */
function lengthsOf(before: readonly string[], after: readonly string[]): readonly number[][] {
  const lengths = Array.from({ length: before.length + 1 }, () => Array.from({ length: after.length + 1 }, () => 0))
  for (let row = before.length - 1; row >= 0; row--) {
    for (let column = after.length - 1; column >= 0; column--) {
      const length =
        before[row] === after[column]
          ? 1 + (lengths[row + 1]?.[column + 1] ?? 0)
          : Math.max(lengths[row + 1]?.[column] ?? 0, lengths[row]?.[column + 1] ?? 0)
      const line = lengths[row]
      if (line) line[column] = length
    }
  }
  return lengths
}
