import type { Operation } from './operation.ts'
import { closingQuote, textAt } from './body.ts'
import { holds, pastColon, toldByBoth, tokensTold, type TokensTold } from './tokensTold.ts'

/** What an answer says of itself; -1 where it says nothing. */
export interface Usage {
  /** The model that answered; empty when unknown. */
  readonly model: string
  /** All of the input, what came out of a cache included. */
  readonly input: number
  readonly output: number
  readonly cached: number
  readonly reasoning: number
}

/** Operations whose answers tell tokens. */
export const tellsTokens = (operation: Operation): boolean => operation !== 'models' && operation !== 'other'

/**
 * Finds the model and the tokens in the two ends of an answer, JSON or a stream's events, without parsing the rest: what lies between is the
 * model's words, and they may be megabytes. Inside of JSON a quote of the model's own is escaped, so its words cannot pass for a name.
 */
export function usageOf(operation: Operation, first: Buffer, last: Buffer): Usage | undefined {
  const model = modelIn(first) || modelIn(last)
  // A stream of messages tells the input at its beginning; at its end, newer ones repeat it, and older ones tell the output alone.
  const told = operation === 'messages' ? toldByBoth(lastTold(last), lastTold(first)) : (lastTold(last) ?? lastTold(first))
  if (told !== undefined) return usageTold(model, told, operation)
  return model === '' ? undefined : { model, input: -1, output: -1, cached: -1, reasoning: -1 }
}

function usageTold(model: string, told: TokensTold, operation: Operation): Usage {
  const { prompt, completion, cached, cacheHit, cacheRead, cacheWrite, reasoning } = told
  let input = prompt >= 0 ? prompt : told.input
  // Anthropic counts what it reads from its cache, or writes into it, beside the input; everyone else counts it as input.
  if (operation === 'messages' && input >= 0) input += Math.max(0, cacheRead) + Math.max(0, cacheWrite)
  const output = completion >= 0 ? completion : told.output
  return { model, input, output, cached: cached >= 0 ? cached : cacheHit >= 0 ? cacheHit : cacheRead, reasoning }
}

/** Nearly always the one is found that near to the beginning, and the other to the end: by hand, in half the time of a search by Node. */
const near = 512
const modelName = soughtName('"model"')
const usageName = soughtName('"usage"')
/** The name of the model stands among the first fields. */
const modelWithin = 16 * 1024
const longestModel = 200
/** Usages of other things stand behind it at most, such as a client's own metadata. */
const mostTries = 8
const quote = 0x22

function modelIn(bytes: Buffer): string {
  const far = Math.min(bytes.length, modelWithin)
  for (let at = nextName(bytes, modelName, 0, far); at >= 0; at = nextName(bytes, modelName, at + 1, far)) {
    const from = pastColon(bytes, at + modelName.name.length)
    if (from < 0 || bytes[from] !== quote) continue
    const end = closingQuote(bytes, from + 1, Math.min(far, from + 4 * longestModel))
    if (end > from + 1) return textAt(bytes, from, end + 1)
  }
  return ''
}

function lastTold(bytes: Buffer): TokensTold | undefined {
  let at = bytes.length
  for (let tries = 0; tries < mostTries; tries++) {
    at = nameBefore(bytes, usageName, at)
    if (at < 0) return undefined
    const told = tokensTold(bytes, at + usageName.name.length)
    if (told !== undefined) return told
  }
  return undefined
}

interface Sought {
  readonly name: string
  /** How far the next place is where it can stand, by what stands where its last letter would; and the last place before, by its first. */
  readonly ahead: Uint8Array
  readonly back: Uint8Array
}

function soughtName(name: string): Sought {
  const ahead = new Uint8Array(256).fill(name.length)
  const back = new Uint8Array(256).fill(name.length)
  for (let at = 0; at < name.length - 1; at++) ahead[name.charCodeAt(at)] = name.length - 1 - at
  for (let at = name.length - 1; at > 0; at--) back[name.charCodeAt(at)] = at
  return { name, ahead, back }
}

function nextName(bytes: Buffer, { name, ahead }: Sought, from: number, far: number): number {
  const last = name.length - 1
  const soon = Math.min(near, far - last)
  for (let at = from; at < soon; at += ahead[bytes[at + last] ?? 0] ?? 1)
    if (bytes[at + last] === quote && holds(bytes, at, name)) return at
  if (soon < near) return -1
  const at = bytes.indexOf(name, Math.max(from, near))
  return at < far - last ? at : -1
}

function nameBefore(bytes: Buffer, { name, back }: Sought, before: number): number {
  const soon = Math.max(0, bytes.length - near)
  for (let at = before - 1; at >= soon; at -= back[bytes[at] ?? 0] ?? 1) if (bytes[at] === quote && holds(bytes, at, name)) return at
  const from = Math.min(before, soon) - 1
  return from < 0 ? -1 : bytes.lastIndexOf(name, from)
}
