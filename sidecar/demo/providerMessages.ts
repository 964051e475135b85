import { json, named, type Answer, type SseEvent } from './providerAnswer.ts'
import { sample, type Schema } from './providerSchema.ts'
import { limit, newId, piecesOf, replyTo, textOf, tokensOf } from './providerText.ts'

/** Anthropic's form of a chat. */
export type MessagesRequest = {
  readonly model?: string
  readonly system?: unknown
  readonly messages?: readonly { readonly role?: string; readonly content?: unknown }[]
  readonly stream?: boolean
  readonly max_tokens?: number
  readonly tools?: readonly { readonly name?: string; readonly input_schema?: Schema }[]
  readonly tool_choice?: { readonly type?: string; readonly name?: string }
}

type Said =
  | { readonly kind: 'text'; readonly pieces: string[]; readonly reason: string }
  | {
      readonly kind: 'tool'
      readonly pieces: string[]
      readonly reason: string
      readonly id: string
      readonly name: string
      readonly input: unknown
    }

/** POST /v1/messages */
export function messagesAnswer(request: MessagesRequest): Answer {
  const said = speak(request)
  const message = { id: newId('msg_'), type: 'message', role: 'assistant', model: request.model }
  const usage = { ...inputUsage(request), output_tokens: tokensOf(said.pieces.join('')) }
  if (request.stream === true) return { kind: 'stream', events: eventsOf(said, message, usage) }
  return json({ ...message, content: [blockOf(said)], stop_reason: said.reason, stop_sequence: null, usage }, said.pieces.length)
}

/** POST /v1/messages/count_tokens */
export function countTokensAnswer(request: MessagesRequest): Answer {
  return json({ input_tokens: inputUsage(request).input_tokens })
}

function eventsOf(said: Said, message: object, usage: { readonly output_tokens: number }): SseEvent[] {
  // The head counts the one token it has; the end counts them all.
  const begun = { ...message, content: [], stop_reason: null, stop_sequence: null, usage: { ...usage, output_tokens: 1 } }
  const empty = said.kind === 'text' ? { type: 'text', text: '' } : { type: 'tool_use', id: said.id, name: said.name, input: {} }
  const end = { delta: { stop_reason: said.reason, stop_sequence: null }, usage: { output_tokens: usage.output_tokens } }
  return [
    named('message_start', { message: begun }),
    named('content_block_start', { index: 0, content_block: empty }),
    named('ping'),
    ...said.pieces.map((piece) => named('content_block_delta', { index: 0, delta: deltaOf(said, piece) }, true)),
    named('content_block_stop', { index: 0 }),
    named('message_delta', end),
    named('message_stop'),
  ]
}

function deltaOf({ kind }: Said, piece: string): object {
  return kind === 'text' ? { type: 'text_delta', text: piece } : { type: 'input_json_delta', partial_json: piece }
}

function blockOf(said: Said): object {
  if (said.kind === 'text') return { type: 'text', text: said.pieces.join('') }
  return { type: 'tool_use', id: said.id, name: said.name, input: said.input }
}

function speak(request: MessagesRequest): Said {
  const forced = forcedTool(request)
  if (forced !== undefined) {
    const input = sample(forced.input_schema ?? { type: 'object' })
    const pieces = piecesOf(JSON.stringify(input))
    return { kind: 'tool', pieces, reason: 'tool_use', id: newId('toolu_'), name: forced.name ?? 'tool', input }
  }
  const prompt = textOf(request.messages?.findLast(({ role }) => role === 'user')?.content)
  const { pieces, whole } = limit(replyTo(prompt), request.max_tokens)
  return { kind: 'text', pieces, reason: whole ? 'end_turn' : 'max_tokens' }
}

function forcedTool({ tools = [], tool_choice: choice }: MessagesRequest) {
  if (choice?.type === 'any') return tools[0]
  return choice?.type === 'tool' ? tools.find(({ name }) => name === choice.name) : undefined
}

function inputUsage({ system, messages = [], tools = [] }: MessagesRequest) {
  const spoken = messages.reduce((sum, { content }) => sum + 4 + tokensOf(textOf(content)), 3)
  const given = spoken + tokensOf(textOf(system)) + (tools.length > 0 ? tokensOf(JSON.stringify(tools)) : 0)
  return { input_tokens: given, cache_creation_input_tokens: 0, cache_read_input_tokens: 0 }
}
