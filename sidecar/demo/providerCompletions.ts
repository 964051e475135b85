import { data, json, type Answer } from './providerAnswer.ts'
import { limit, newId, nowSeconds, replyTo, textOf, tokensOf } from './providerText.ts'

export type CompletionRequest = {
  readonly model?: string
  readonly prompt?: unknown
  readonly stream?: boolean | null
  readonly stream_options?: { readonly include_usage?: boolean } | null
  readonly n?: number | null
  readonly max_tokens?: number | null
  readonly echo?: boolean | null
}

/** POST /v1/completions */
export function completionAnswer(request: CompletionRequest): Answer {
  const prompt = textOf(request.prompt)
  const { pieces, whole } = limit(`${request.echo === true ? `${prompt} ` : ''}${replyTo(prompt)}`, request.max_tokens)
  const finish = whole ? 'stop' : 'length'
  const indexes = Array.from({ length: request.n ?? 1 }, (_, index) => index)
  const used = { prompt_tokens: tokensOf(prompt), completion_tokens: tokensOf(pieces.join('')) * indexes.length }
  const usage = { ...used, total_tokens: used.prompt_tokens + used.completion_tokens }
  const base = { id: newId('cmpl-'), object: 'text_completion', created: nowSeconds(), model: request.model, system_fingerprint: 'fp_demo' }
  const choice = (index: number, text: string, end: string | null) => ({ text, index, logprobs: null, finish_reason: end })
  if (request.stream !== true) {
    return json({ ...base, choices: indexes.map((index) => choice(index, pieces.join(''), finish)), usage }, pieces.length)
  }
  const withUsage = request.stream_options?.include_usage === true
  const chunk = (index: number, text: string, end: string | null) => ({
    ...base,
    choices: [choice(index, text, end)],
    ...(withUsage && { usage: null }),
  })
  const texts = pieces.flatMap((piece) => indexes.map((index) => data(chunk(index, piece, null), index === 0)))
  const ends = indexes.map((index) => data(chunk(index, '', finish)))
  const last = withUsage ? [data({ ...base, choices: [], usage })] : []
  return { kind: 'stream', events: [...texts, ...ends, ...last, data('[DONE]')] }
}
