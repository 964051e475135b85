import { closingQuote, skipSpace } from './body.ts'

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
const [quote, colon, opening, closing, list, listEnd] = [0x22, 0x3a, 0x7b, 0x7d, 0x5b, 0x5d]

/**
 * Reads the object that begins behind `from`, a colon before it. By hand, for it is done for every call: to make text of it, parse that, and ask
 * the object for a dozen names takes four times as long. Undefined where no object begins, or its end is not in sight.
 */
export function tokensTold(bytes: Buffer, from: number): TokensTold | undefined {
  const begin = pastColon(bytes, from)
  if (begin < 0 || bytes[begin] !== opening) return undefined
  const told = nothing()
  const far = Math.min(bytes.length, begin + longest)
  let depth = 1
  // Of the last string: a name, or a value which no number follows.
  let name = 0
  let nameEnd = 0
  let parentEnd = 0
  for (let at = begin + 1; at < far; at++) {
    const byte = bytes[at]
    if (byte === quote) {
      name = at + 1
      nameEnd = closingQuote(bytes, name, far)
      if (nameEnd < 0) return undefined
      at = nameEnd
    } else if (byte === opening || byte === list) {
      if (++depth === 2) parentEnd = byte === opening ? nameEnd : 0
    } else if (byte === closing || byte === listEnd) {
      if (--depth === 0) return told
    } else if (byte === colon) {
      const digits = skipSpace(bytes, at + 1)
      const end = pastDigits(bytes, digits, far)
      if (end === digits) continue
      at = end - 1
      if (end - digits > mostDigits || goesOn(bytes[end])) continue
      const count = depth === 1 || (depth === 2 && isDetails(bytes, parentEnd)) ? countAt(bytes, name, nameEnd) : undefined
      if (count !== undefined && count.isDetail === (depth === 2)) told[count.as] = numberAt(bytes, digits, end)
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
const byLook = new Map(counts.map((count) => [look(count.name.length, count.name.charCodeAt(0)), count]))

function look(length: number, first: number): number {
  return length * 256 + first
}

function countAt(bytes: Buffer, from: number, to: number): Count | undefined {
  const count = byLook.get(look(to - from, bytes[from] ?? 0))
  return count !== undefined && holds(bytes, from, count.name) ? count : undefined
}

const details = '_tokens_details'
const isDetails = (bytes: Buffer, nameEnd: number): boolean => nameEnd > details.length && holds(bytes, nameEnd - details.length, details)

/** Whether these letters, a byte each, stand there. */
export function holds(bytes: Buffer, at: number, letters: string): boolean {
  for (let n = 0; n < letters.length; n++) if (bytes[at + n] !== letters.charCodeAt(n)) return false
  return true
}

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

/** Where the value of a name stands that ends at `from`; -1 where that is no name. */
export function pastColon(bytes: Buffer, from: number): number {
  const at = skipSpace(bytes, from)
  return bytes[at] === colon ? skipSpace(bytes, at + 1) : -1
}

function pastDigits(bytes: Buffer, from: number, far: number): number {
  let at = from
  while (at < far && isDigit(bytes[at] ?? 0)) at++
  return at
}

const isDigit = (byte: number): boolean => byte >= 0x30 && byte <= 0x39

function numberAt(bytes: Buffer, from: number, to: number): number {
  let number = 0
  for (let at = from; at < to; at++) number = number * 10 + (bytes[at] ?? 0) - 0x30
  return number
}

/** A fraction or an exponent follows, and so it is no count. */
const goesOn = (byte: number | undefined): boolean => byte === 0x2e || byte === 0x65 || byte === 0x45
