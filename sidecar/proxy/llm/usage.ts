import type { Operation } from './operation.ts'
import { toldByBoth, tokensTold, type TokensTold } from './tokensTold.ts'

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

function modelIn(text: string): string {
  const found = modelName.exec(text.length > modelWithin ? text.slice(0, modelWithin) : text)?.[1]
  if (found === undefined) return ''
  if (!found.includes('\\')) return found.slice(1, -1)
  const value = parsed(found)
  return typeof value === 'string' ? value : ''
}

const modelName = /"model"\s*:\s*("(?:[^"\\]|\\.){1,200}")/
/** The name of the model stands among the first fields. */
const modelWithin = 16 * 1024
const usageName = '"usage"'
/** Usages of other things stand behind it at most, such as a client's own metadata. */
const mostTries = 8

function lastTold(text: string): TokensTold | undefined {
  let at = text.length
  for (let tries = 0; tries < mostTries; tries++) {
    at = at <= 0 ? -1 : text.lastIndexOf(usageName, at - 1)
    if (at < 0) return undefined
    const told = tokensTold(text, at + usageName.length)
    if (told !== undefined) return told
  }
  return undefined
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch {
    return undefined
  }
}
