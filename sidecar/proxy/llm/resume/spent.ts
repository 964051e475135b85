import type { Operation } from '../operation.ts'
import type { Fields } from './fields.ts'

/** An attempt that broke off, and what is known of its cost. Providers tell the tokens at the end, which did not come. */
export interface Spent {
  /** Characters of the model's that the attempt was asked to go on from. */
  readonly prefix: number
  /** Characters that it said, whether or not the client needed them. */
  readonly produced: number
  readonly input: number | undefined
  readonly output: number | undefined
}

export interface Costs {
  /** The same of the attempt that is under way. */
  readonly prefix: number
  readonly produced: number
  readonly before: readonly Spent[]
}

/** In most languages and tokenizers, roughly. */
const charactersPerToken = 4

/**
 * What the attempts before this one have cost beside it, where this one tells what it cost. They are taken to have had the same prompt, and as
 * many characters in a token: only the upstreams know better, and they were cut off before they could say it.
 */
export function addedTokens(
  { prefix, produced, before }: Costs,
  input: unknown,
  output: unknown,
): { input: number; output: number } | undefined {
  if (typeof input !== 'number' || typeof output !== 'number') return undefined
  const perCharacter = produced > 0 && output > 0 ? Math.min(1, output / produced) : 1 / charactersPerToken
  const prompt = Math.max(0, input - perCharacter * prefix)
  const sum = { input: 0, output: 0 }
  for (const spent of before) {
    sum.input += spent.input ?? Math.round(prompt + perCharacter * spent.prefix)
    sum.output += spent.output ?? Math.round(perCharacter * spent.produced)
  }
  return sum
}

/** What a broken attempt told of its cost. Anthropic's streams tell the input at their beginning, and an output that only began. */
export function toldCosts(operation: Operation, usage: Fields | undefined): Pick<Spent, 'input' | 'output'> {
  const { prompt_tokens: prompt, completion_tokens: completion, input_tokens: input } = usage ?? {}
  if (operation === 'messages') return { input: typeof input === 'number' ? input : undefined, output: undefined }
  return { input: typeof prompt === 'number' ? prompt : undefined, output: typeof completion === 'number' ? completion : undefined }
}
