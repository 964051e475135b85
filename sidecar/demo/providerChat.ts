import { data, json, type Answer } from './providerAnswer.ts'
import { sample, type Schema } from './providerSchema.ts'
import { limit, newId, nowSeconds, piecesOf, replyTo, textOf, tokensOf } from './providerText.ts'

export type ChatRequest = {
  readonly model?: string
  readonly messages?: readonly { readonly role?: string; readonly content?: unknown }[]
  readonly stream?: boolean | null
  readonly stream_options?: { readonly include_usage?: boolean } | null
  readonly n?: number | null
  readonly max_tokens?: number | null
  readonly max_completion_tokens?: number | null
  readonly tools?: readonly { readonly function?: { readonly name?: string; readonly parameters?: Schema } }[]
  readonly tool_choice?: string | { readonly function?: { readonly name?: string } } | null
  readonly response_format?: { readonly type?: string; readonly json_schema?: { readonly schema?: Schema } } | null
}

type Said = {
  readonly content: string[]
  readonly tool?: { readonly id: string; readonly name: string; readonly pieces: string[] }
  finish: string
}

/** POST /v1/chat/completions */
export function chatAnswer(request: ChatRequest): Answer {
  if (request.stream !== true) return json(chatCompletion(request), spokenTokens(speak(request)))
  const chunks = chatChunks(request)
  return { kind: 'stream', events: [...chunks.map((chunk) => data(chunk, isToken(chunk))), data('[DONE]')] }
}

/** The answer as one JSON document; `text` is what the model says. */
export function chatCompletion(request: ChatRequest, text?: string): object {
  const said = speak(request, text)
  const tool = said.tool && { id: said.tool.id, type: 'function', function: { name: said.tool.name, arguments: said.tool.pieces.join('') } }
  const content = tool === undefined ? said.content.join('') : null
  const message = { role: 'assistant', content, refusal: null, annotations: [], ...(tool && { tool_calls: [tool] }) }
  const choices = indexes(request).map((index) => ({ index, message, logprobs: null, finish_reason: said.finish }))
  return { ...envelope(request, 'chat.completion'), choices, usage: usageOf(request, said) }
}

type Choice = { readonly index: number; readonly delta: object; readonly logprobs: null; readonly finish_reason: string | null }
export type ChatChunk = { readonly choices: readonly Choice[]; readonly usage?: object | null }

/** The answer as the chunks of a stream, without `[DONE]`. */
export function chatChunks(request: ChatRequest, text?: string): ChatChunk[] {
  const said = speak(request, text)
  const withUsage = request.stream_options?.include_usage === true
  const base = { ...envelope(request, 'chat.completion.chunk'), ...(withUsage && { usage: null }) }
  const chunk = (index: number, delta: object, finish: string | null = null): ChatChunk => ({
    ...base,
    choices: [{ index, delta, logprobs: null, finish_reason: finish }],
  })
  const all = indexes(request)
  const first = { role: 'assistant', content: said.tool === undefined ? '' : null, refusal: null }
  return [
    ...all.map((index) => chunk(index, first)),
    ...deltasOf(said).flatMap((delta) => all.map((index) => chunk(index, delta))),
    ...all.map((index) => chunk(index, {}, said.finish)),
    ...(withUsage ? [{ ...base, choices: [], usage: usageOf(request, said) }] : []),
  ]
}

function deltasOf({ content, tool }: Said): object[] {
  if (tool === undefined) return content.map((piece) => ({ content: piece }))
  const call = { index: 0, id: tool.id, type: 'function', function: { name: tool.name, arguments: '' } }
  const rest = tool.pieces.map((piece) => ({ tool_calls: [{ index: 0, function: { arguments: piece } }] }))
  return [{ tool_calls: [call] }, ...rest]
}

function isToken({ choices }: ChatChunk): boolean {
  // With n > 1 the choices are made side by side: only the first one takes time.
  return choices.some(({ index, finish_reason: finish, delta }) => index === 0 && finish === null && !('role' in delta))
}

function speak(request: ChatRequest, text?: string): Said {
  const forced = forcedTool(request)
  if (text === undefined && forced !== undefined) {
    const pieces = piecesOf(JSON.stringify(sample(forced.parameters ?? { type: 'object' })))
    return { content: [], tool: { id: newId('call_'), name: forced.name ?? 'tool', pieces }, finish: 'tool_calls' }
  }
  const { pieces, whole } = limit(text ?? saidTo(request), request.max_completion_tokens ?? request.max_tokens)
  return { content: pieces, finish: whole ? 'stop' : 'length' }
}

function saidTo({ messages = [], response_format: format }: ChatRequest): string {
  const prompt = textOf(messages.findLast(({ role }) => role === 'user')?.content)
  if (format?.type === 'json_schema') return JSON.stringify(sample(format.json_schema?.schema ?? { type: 'object' }))
  if (format?.type === 'json_object') return JSON.stringify({ answer: replyTo(prompt) })
  return replyTo(prompt)
}

function forcedTool({ tools = [], tool_choice: choice }: ChatRequest) {
  if (choice === 'required') return tools[0]?.function
  if (typeof choice !== 'object' || choice === null) return undefined
  return tools.find((tool) => tool.function?.name === choice.function?.name)?.function
}

function envelope({ model }: ChatRequest, object: string) {
  const id = newId('chatcmpl-')
  return { id, object, created: nowSeconds(), model, service_tier: 'default', system_fingerprint: 'fp_demo' }
}

function indexes({ n }: ChatRequest): number[] {
  return Array.from({ length: n ?? 1 }, (_, index) => index)
}

function spokenTokens({ content, tool }: Said): number {
  return (tool?.pieces ?? content).length
}

function usageOf(request: ChatRequest, said: Said) {
  const prompt = promptTokens(request)
  const completion = tokensOf((said.tool?.pieces ?? said.content).join('')) * (request.n ?? 1)
  return {
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: prompt + completion,
    prompt_tokens_details: { cached_tokens: 0, audio_tokens: 0 },
    completion_tokens_details: { reasoning_tokens: 0, audio_tokens: 0, accepted_prediction_tokens: 0, rejected_prediction_tokens: 0 },
  }
}

function promptTokens({ messages = [], tools = [] }: ChatRequest): number {
  // Every message costs a few tokens for its frame, as it does at OpenAI.
  const spoken = messages.reduce((sum, { content }) => sum + 4 + tokensOf(textOf(content)), 3)
  return spoken + (tools.length > 0 ? tokensOf(JSON.stringify(tools)) : 0)
}
