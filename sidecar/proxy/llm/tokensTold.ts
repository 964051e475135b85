/** The counts that APIs tell, each under the names it has there; -1 for what is not told. */
export interface TokensTold {
  /** `prompt_tokens`, and `input_tokens` of the newer APIs. */
  prompt: number
  input: number
  /** `completion_tokens`, and `output_tokens`. */
  completion: number
  output: number
  /** In the details of the one or the other. */
  cached: number
  reasoning: number
  /** `prompt_cache_hit_tokens`. */
  cacheHit: number
  /** `cache_read_input_tokens` and `cache_creation_input_tokens`. */
  cacheRead: number
  cacheWrite: number
}

const longest = 8 * 1024
/** More digits are no count of tokens, and no safe integer. */
const mostDigits = 15
const [quote, backslash, colon, opening, closing, list, listEnd] = [0x22, 0x5c, 0x3a, 0x7b, 0x7d, 0x5b, 0x5d]

/**
 * Reads the object that begins behind `from`, a colon before it. By hand, for it is done for every call: to parse it into an object and to ask
 * that for a dozen names takes three times as long. Undefined where no object begins, or its end is not in sight.
 */
export function tokensTold(text: string, from: number): TokensTold | undefined {
  const begin = pastColon(text, from)
  if (begin < 0 || text.charCodeAt(begin) !== opening) return undefined
  const told = nothing()
  const far = Math.min(text.length, begin + longest)
  let depth = 1
  // Of the last string: a name, or a value which no number follows.
  let name = 0
  let nameEnd = 0
  let parentEnd = 0
  for (let at = begin + 1; at < far; at++) {
    const char = text.charCodeAt(at)
    if (char === quote) {
      name = at + 1
      nameEnd = stringEnd(text, name, far)
      if (nameEnd < 0) return undefined
      at = nameEnd
    } else if (char === opening || char === list) {
      if (++depth === 2) parentEnd = char === opening ? nameEnd : 0
    } else if (char === closing || char === listEnd) {
      if (--depth === 0) return told
    } else if (char === colon) {
      const digits = pastSpace(text, at + 1)
      const end = pastDigits(text, digits)
      if (end === digits) continue
      at = end - 1
      if (end - digits > mostDigits || goesOn(text.charCodeAt(end))) continue
      const count = depth === 1 || (depth === 2 && isDetails(text, parentEnd)) ? countAt(text, name, nameEnd) : undefined
      if (count !== undefined && count.isDetail === (depth === 2)) told[count.as] = Number(text.slice(digits, end))
    }
  }
  return undefined
}

interface Count {
  readonly name: string
  readonly as: keyof TokensTold
  /** Not of the object itself, but of an object of details in it. */
  readonly isDetail: boolean
}

const counts: readonly Count[] = [
  { name: 'prompt_tokens', as: 'prompt', isDetail: false },
  { name: 'input_tokens', as: 'input', isDetail: false },
  { name: 'completion_tokens', as: 'completion', isDetail: false },
  { name: 'output_tokens', as: 'output', isDetail: false },
  { name: 'prompt_cache_hit_tokens', as: 'cacheHit', isDetail: false },
  { name: 'cache_read_input_tokens', as: 'cacheRead', isDetail: false },
  { name: 'cache_creation_input_tokens', as: 'cacheWrite', isDetail: false },
  { name: 'cached_tokens', as: 'cached', isDetail: true },
  { name: 'reasoning_tokens', as: 'reasoning', isDetail: true },
]

/** Told apart by length and first letter, so that one comparison does. */
const byLook = new Map(counts.map((count) => [look(count.name, 0, count.name.length), count]))

function look(text: string, from: number, to: number): number {
  return (to - from) * 256 + text.charCodeAt(from)
}

function countAt(text: string, from: number, to: number): Count | undefined {
  const count = byLook.get(look(text, from, to))
  return count !== undefined && text.slice(from, to) === count.name ? count : undefined
}

const details = '_tokens_details'
const isDetails = (text: string, nameEnd: number): boolean => text.slice(Math.max(0, nameEnd - details.length), nameEnd) === details

/** What the one tells, and of the other what the one leaves open. */
export function toldByBoth(one: TokensTold | undefined, other: TokensTold | undefined): TokensTold | undefined {
  if (one === undefined || other === undefined) return one ?? other
  const both = { ...one }
  for (const name of Object.keys(both) as (keyof TokensTold)[]) if (both[name] < 0) both[name] = other[name]
  return both
}

const nothing = (): TokensTold => ({
  prompt: -1,
  input: -1,
  completion: -1,
  output: -1,
  cached: -1,
  reasoning: -1,
  cacheHit: -1,
  cacheRead: -1,
  cacheWrite: -1,
})

function pastColon(text: string, from: number): number {
  const at = pastSpace(text, from)
  return text.charCodeAt(at) === colon ? pastSpace(text, at + 1) : -1
}

function pastSpace(text: string, from: number): number {
  let at = from
  for (let char = text.charCodeAt(at); char === 0x20 || (char >= 0x09 && char <= 0x0d); char = text.charCodeAt(at)) at++
  return at
}

function pastDigits(text: string, from: number): number {
  let at = from
  for (let char = text.charCodeAt(at); char >= 0x30 && char <= 0x39; char = text.charCodeAt(at)) at++
  return at
}

/** A fraction or an exponent follows, and so it is no count. */
const goesOn = (char: number): boolean => char === 0x2e || char === 0x65 || char === 0x45

/** Of the string that begins at `from`, behind its quote; -1 where it is not in sight. */
function stringEnd(text: string, from: number, far: number): number {
  for (let at = from; at < far; at++) {
    const char = text.charCodeAt(at)
    if (char === quote) return at
    if (char === backslash) at++
  }
  return -1
}
