import type { Operation } from './operation.ts'

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
export function usageOf(operation: Operation, first: string, last: string): Usage | undefined {
  const model = modelIn(first) || modelIn(last)
  // A stream of messages tells the input at its beginning; at its end, newer ones repeat it, and older ones tell the output alone.
  const tokens = operation === 'messages' ? { ...lastUsage(first), ...numbersOf(lastUsage(last)) } : (lastUsage(last) ?? lastUsage(first))
  if (tokens === undefined && model === '') return undefined
  return { model, ...counted(tokens ?? {}, operation) }
}

type Fields = Readonly<Record<string, unknown>>

function counted(tokens: Fields, operation: Operation): Omit<Usage, 'model'> {
  const inDetails = fieldsOf(tokens['prompt_tokens_details'] ?? tokens['input_tokens_details'])
  const outDetails = fieldsOf(tokens['completion_tokens_details'] ?? tokens['output_tokens_details'])
  const input = count(tokens['prompt_tokens'] ?? tokens['input_tokens'])
  const cacheRead = count(tokens['cache_read_input_tokens'])
  const cached = count(inDetails['cached_tokens'] ?? tokens['prompt_cache_hit_tokens'])
  return {
    // Anthropic counts what it reads from its cache, or writes into it, beside the input; everyone else counts it as input.
    input:
      operation === 'messages' && input >= 0
        ? input + Math.max(0, cacheRead) + Math.max(0, count(tokens['cache_creation_input_tokens']))
        : input,
    output: count(tokens['completion_tokens'] ?? tokens['output_tokens']),
    cached: cached >= 0 ? cached : cacheRead,
    reasoning: count(outDetails['reasoning_tokens']),
  }
}

const fieldsOf = (value: unknown): Fields => (typeof value === 'object' && value !== null ? (value as Fields) : {})
const count = (value: unknown): number => (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : -1)

/** A later event may repeat a name with null. */
const numbersOf = (tokens: Fields | undefined): Fields =>
  Object.fromEntries(Object.entries(tokens ?? {}).filter(([, value]) => value != null))

function modelIn(text: string): string {
  const found = /"model"\s*:\s*("(?:[^"\\]|\\.){1,200}")/.exec(text.length > modelWithin ? text.slice(0, modelWithin) : text)
  const value = found?.[1] === undefined ? undefined : parsed(found[1])
  return typeof value === 'string' ? value : ''
}

/** The name of the model stands among the first fields. */
const modelWithin = 16 * 1024
const usageName = '"usage"'
/** Usages of other things stand behind it at most, such as a client's own metadata. */
const mostTries = 8
const longestUsage = 8 * 1024

function lastUsage(text: string): Fields | undefined {
  let at = text.length
  for (let tries = 0; tries < mostTries; tries++) {
    at = at <= 0 ? -1 : text.lastIndexOf(usageName, at - 1)
    if (at < 0) return undefined
    const found = objectAt(text, at + usageName.length)
    if (found !== undefined) return found
  }
  return undefined
}

/** The object that a name at `from` is given; undefined when it is given anything else, or its end is not in sight. */
function objectAt(text: string, from: number): Fields | undefined {
  const opening = /\s*:\s*\{/y
  opening.lastIndex = from
  if (!opening.test(text)) return undefined
  const begin = opening.lastIndex - 1
  const far = Math.min(text.length, begin + longestUsage)
  let depth = 0
  for (let at = begin; at < far; at++) {
    const char = text.charCodeAt(at)
    if (char === 0x22) {
      at = closingQuote(text, at)
      if (at < 0) return undefined
    } else if (char === 0x7b) depth++
    else if (char === 0x7d && --depth === 0) {
      const value = parsed(text.slice(begin, at + 1))
      return value === undefined ? undefined : fieldsOf(value)
    }
  }
  return undefined
}

function closingQuote(text: string, from: number): number {
  for (let at = text.indexOf('"', from + 1); at >= 0; at = text.indexOf('"', at + 1)) {
    let slashes = 0
    while (text.charCodeAt(at - 1 - slashes) === 0x5c) slashes++
    if (slashes % 2 === 0) return at
  }
  return -1
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch {
    return undefined
  }
}
