import { json, type Answer } from './providerAnswer.ts'
import { tokensOf } from './providerText.ts'

export type EmbeddingsRequest = {
  readonly model?: string
  readonly input?: string | readonly (string | number | readonly number[])[]
  readonly encoding_format?: string
  readonly dimensions?: number
}

/** POST /v1/embeddings: equal texts get equal vectors of length 1. */
export function embeddingsAnswer(request: EmbeddingsRequest): Answer {
  const texts = textsOf(request.input ?? '')
  const dimensions = request.dimensions ?? (request.model?.includes('large') === true ? 3072 : 1536)
  const list = texts.map((text, index) => {
    const vector = vectorOf(text, dimensions)
    return { object: 'embedding', index, embedding: request.encoding_format === 'base64' ? base64Of(vector) : vector }
  })
  const tokens = texts.reduce((sum, text) => sum + Math.max(1, tokensOf(text)), 0)
  // A vector takes the time of one token: nothing is generated.
  return json({ object: 'list', data: list, model: request.model, usage: { prompt_tokens: tokens, total_tokens: tokens } }, 1)
}

/** One text, several, the tokens of one, or the tokens of several. */
function textsOf(input: NonNullable<EmbeddingsRequest['input']>): string[] {
  if (typeof input === 'string') return [input]
  if (typeof input[0] === 'number') return [input.join(' ')]
  return input.map((one) => (Array.isArray(one) ? one.join(' ') : String(one)))
}

function vectorOf(text: string, dimensions: number): number[] {
  const random = randomFrom(text)
  const raw = Array.from({ length: dimensions }, () => random() * 2 - 1)
  const length = Math.hypot(...raw) || 1
  // Rounded as a float of 32 bits, so that both encodings carry the same numbers.
  return raw.map((value) => Math.fround(value / length))
}

/** A generator (mulberry32) that starts from a hash of the text (FNV-1a). */
function randomFrom(text: string): () => number {
  let state = 0x811c9dc5
  for (const byte of Buffer.from(text)) state = Math.imul(state ^ byte, 0x01000193)
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

function base64Of(vector: readonly number[]): string {
  const bytes = Buffer.alloc(vector.length * 4)
  vector.forEach((value, index) => bytes.writeFloatLE(value, index * 4))
  return bytes.toString('base64')
}
