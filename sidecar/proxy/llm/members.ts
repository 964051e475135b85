import { skipSpace, stringEnd, valueEnd } from './body.ts'

const quote = 0x22
const backslash = 0x5c
/** No name that anybody asks for is longer, even with every letter escaped. */
const longestName = 256

/** Tells every top-level member of a JSON object: its name, and where its value stands. */
export type Tell = (name: string, from: number, to: number) => void

/** Where members can be put: just behind the opening brace; with a comma unless it is empty. */
export interface Place {
  readonly at: number
  readonly empty: boolean
}

/** Reads the body as far as its brackets and quotes; undefined where it is no whole JSON object. */
export function eachMember(body: Buffer, tell: Tell): Place | undefined {
  const open = skipSpace(body, 0)
  if (body[open] !== 0x7b) return undefined
  let at = skipSpace(body, open + 1)
  if (body[at] === 0x7d) return { at: open + 1, empty: true }
  for (;;) {
    if (body[at] !== quote) return undefined
    const nameEnd = stringEnd(body, at)
    const colon = skipSpace(body, nameEnd)
    const from = skipSpace(body, colon + 1)
    const to = valueEnd(body, from)
    if (body[colon] !== 0x3a || from === to) return undefined
    if (nameEnd - at <= longestName) tell(nameAt(body, at, nameEnd), from, to)
    const next = skipSpace(body, to)
    if (body[next] === 0x7d) return { at: open + 1, empty: false }
    if (body[next] !== 0x2c) return undefined
    at = skipSpace(body, next + 1)
  }
}

/** The string that stands there; undefined where it is none. */
export function stringAt(body: Buffer, from: number, to: number): string | undefined {
  if (body[from] !== quote) return undefined
  if (!body.subarray(from, to).includes(backslash)) return body.toString('utf8', from + 1, to - 1)
  try {
    return JSON.parse(body.toString('utf8', from, to)) as string
  } catch {
    return undefined
  }
}

const nameAt = (body: Buffer, from: number, to: number): string => stringAt(body, from, to) ?? ''
