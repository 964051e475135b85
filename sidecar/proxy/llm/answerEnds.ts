import { decoder } from './coding.ts'
import type { Operation } from './operation.ts'
import { tellsTokens, usageOf, type Usage } from './usage.ts'

/** Where the tokens stand in an answer of JSON: behind everything else, short of a client's metadata. */
const endBytes = 16 * 1024
/** A compressed answer can only be read from its beginning. */
const compressedBytes = 128 * 1024

/** What has to be known of an answer. */
interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly told?: (() => { readonly first: Buffer | undefined; readonly last: string }) | undefined
}

/** The two ends of an answer, kept while it passes. State and no closures: every call has one. */
export interface AnswerEnds {
  /** A stream keeps its ends itself. */
  readonly told: Answer['told']
  /** Empty for an answer that can be read as it is. */
  readonly coding: string
  first: Buffer | undefined
  /** What came behind the first bytes, as far as it is of use. */
  rest: Buffer[] | undefined
  restBytes: number
  /** Between the first bytes and the rest, or behind all that is kept, something has been let go. */
  torn: boolean
}

/** Undefined for an answer in which no tokens are told, and for one that nobody here can read. */
export function endsOf(operation: Operation, { status, headers, told }: Answer): AnswerEnds | undefined {
  if (status < 200 || status > 299 || !tellsTokens(operation)) return undefined
  const coding = told === undefined ? headers['content-encoding'] : undefined
  if (told === undefined && !isJson(headers)) return undefined
  // More than one coding is nobody's answer to a client of ours.
  if (typeof coding === 'object') return undefined
  return {
    told,
    coding: coding === undefined || coding === 'identity' ? '' : coding,
    first: undefined,
    rest: undefined,
    restBytes: 0,
    torn: false,
  }
}

const jsonType = /^application\/(?:[\w.-]+\+)?json/i
const isJson = ({ 'content-type': type }: Answer['headers']): boolean =>
  type === 'application/json' || (typeof type === 'string' && jsonType.test(type))

/** The next bytes have passed. */
export function keepEnds(ends: AnswerEnds, bytes: Buffer): void {
  if (ends.first === undefined) {
    ends.first = bytes
    return
  }
  if (ends.coding !== '' && ends.torn) return
  const rest = (ends.rest ??= [])
  rest.push(bytes)
  ends.restBytes += bytes.length
  if (ends.coding !== '') {
    if (ends.first.length + ends.restBytes <= compressedBytes) return
    ends.torn = true
    ends.rest = undefined
    return
  }
  while (ends.restBytes - (rest[0]?.length ?? 0) >= endBytes) {
    ends.restBytes -= rest.shift()?.length ?? 0
    ends.torn = true
  }
}

/** What the ends say; asked once, when the call is over. */
export function usageFrom(operation: Operation, { told, coding, first, rest, torn }: AnswerEnds): Usage | undefined {
  if (told !== undefined) {
    const ends = told()
    return usageOf(operation, beginningOf(ends.first ?? none), Buffer.from(ends.last))
  }
  if (first === undefined) return undefined
  if (coding === '')
    return torn ? usageOf(operation, beginningOf(first), endOf(Buffer.concat(rest ?? []))) : usageIn(operation, joined(first, rest))
  const whole = torn ? undefined : decoder(coding)?.(joined(first, rest))
  return whole && usageIn(operation, whole)
}

const none = Buffer.alloc(0)
const joined = (first: Buffer, rest: Buffer[] | undefined): Buffer => (rest === undefined ? first : Buffer.concat([first, ...rest]))
const beginningOf = (bytes: Buffer): Buffer => (bytes.length <= endBytes ? bytes : bytes.subarray(0, endBytes))
const endOf = (bytes: Buffer): Buffer => (bytes.length <= endBytes ? bytes : bytes.subarray(-endBytes))
const usageIn = (operation: Operation, whole: Buffer): Usage | undefined => usageOf(operation, beginningOf(whole), endOf(whole))
