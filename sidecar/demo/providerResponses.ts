import { json, named, type Answer, type SseEvent } from './providerAnswer.ts'
import { sample, type Schema } from './providerSchema.ts'
import { limit, newId, nowSeconds, piecesOf, replyTo, textOf, tokensOf } from './providerText.ts'

export type ResponsesRequest = {
  readonly model?: string
  readonly input?: unknown
  readonly instructions?: string | null
  readonly stream?: boolean | null
  readonly store?: boolean | null
  readonly metadata?: object | null
  readonly previous_response_id?: string | null
  readonly max_output_tokens?: number | null
  readonly tools?: readonly { readonly type?: string; readonly name?: string; readonly parameters?: Schema }[]
  readonly tool_choice?: string | { readonly name?: string } | null
  readonly text?: { readonly format?: { readonly type?: string; readonly schema?: Schema } } | null
}

type Said =
  | { readonly kind: 'text'; readonly id: string; readonly pieces: string[]; readonly whole: boolean }
  | { readonly kind: 'tool'; readonly id: string; readonly callId: string; readonly name: string; readonly pieces: string[] }

/** POST /v1/responses */
export function responsesAnswer(request: ResponsesRequest): Answer {
  const said = speak(request)
  const started = responseOf(request)
  const item = itemOf(said, said.pieces.join(''), 'completed')
  const cut = said.kind === 'text' && !said.whole
  const done = {
    ...started,
    status: cut ? 'incomplete' : 'completed',
    incomplete_details: cut ? { reason: 'max_output_tokens' } : null,
    output: [item],
    usage: usageOf(request, said),
  }
  if (request.stream !== true) return json(done, said.pieces.length)
  return { kind: 'stream', events: numbered(started, [...itemEvents(said), ['output_item.done', { output_index: 0, item }]], done) }
}

type Part = readonly [type: string, fields: object]

/** Puts the parts between the events that open and close a response, and counts them all. */
function numbered(started: object, parts: readonly Part[], done: { readonly status: string }): SseEvent[] {
  const all: Part[] = [
    ['created', { response: started }],
    ['in_progress', { response: started }],
    ...parts,
    [done.status, { response: done }],
  ]
  return all.map(([type, fields], number) => named(`response.${type}`, { ...fields, sequence_number: number }, type.endsWith('.delta')))
}

function itemEvents(said: Said): Part[] {
  const place = { item_id: said.id, output_index: 0 }
  const whole = said.pieces.join('')
  const added: Part = ['output_item.added', { output_index: 0, item: itemOf(said, '', 'in_progress') }]
  if (said.kind === 'tool') {
    const deltas = said.pieces.map((delta): Part => ['function_call_arguments.delta', { ...place, delta }])
    return [added, ...deltas, ['function_call_arguments.done', { ...place, name: said.name, arguments: whole }]]
  }
  const spot = { ...place, content_index: 0 }
  return [
    added,
    ['content_part.added', { ...spot, part: textPart('') }],
    ...said.pieces.map((delta): Part => ['output_text.delta', { ...spot, delta, logprobs: [] }]),
    ['output_text.done', { ...spot, text: whole, logprobs: [] }],
    ['content_part.done', { ...spot, part: textPart(whole) }],
  ]
}

function itemOf(said: Said, text: string, status: string): object {
  if (said.kind === 'tool') return { id: said.id, type: 'function_call', status, call_id: said.callId, name: said.name, arguments: text }
  // An item that has only begun has no content yet.
  return { id: said.id, type: 'message', status, role: 'assistant', content: status === 'completed' ? [textPart(text)] : [] }
}

function textPart(text: string): object {
  return { type: 'output_text', text, annotations: [], logprobs: [] }
}

function speak(request: ResponsesRequest): Said {
  const forced = forcedTool(request)
  if (forced !== undefined) {
    const pieces = piecesOf(JSON.stringify(sample(forced.parameters ?? { type: 'object' })))
    return { kind: 'tool', id: newId('fc_'), callId: newId('call_'), name: forced.name ?? 'tool', pieces }
  }
  const format = request.text?.format
  const prompt = lastWords(request.input)
  const text = format?.type === 'json_schema' ? JSON.stringify(sample(format.schema ?? { type: 'object' })) : replyTo(prompt)
  return { kind: 'text', id: newId('msg_'), ...limit(text, request.max_output_tokens) }
}

function lastWords(input: unknown): string {
  return textOf(Array.isArray(input) ? input.at(-1) : input)
}

function forcedTool({ tools = [], tool_choice: choice }: ResponsesRequest) {
  const functions = tools.filter(({ type }) => type === 'function')
  if (choice === 'required') return functions[0]
  if (typeof choice !== 'object' || choice === null) return undefined
  return functions.find(({ name }) => name === choice.name)
}

function responseOf(request: ResponsesRequest) {
  return {
    id: newId('resp_'),
    object: 'response',
    created_at: nowSeconds(),
    status: 'in_progress',
    background: false,
    error: null,
    incomplete_details: null,
    instructions: request.instructions ?? null,
    max_output_tokens: request.max_output_tokens ?? null,
    metadata: request.metadata ?? {},
    model: request.model,
    output: [],
    parallel_tool_calls: true,
    previous_response_id: request.previous_response_id ?? null,
    reasoning: { effort: null, summary: null },
    service_tier: 'default',
    store: request.store ?? true,
    temperature: 1,
    text: request.text ?? { format: { type: 'text' } },
    tool_choice: request.tool_choice ?? 'auto',
    tools: request.tools ?? [],
    top_p: 1,
    truncation: 'disabled',
    usage: null,
  }
}

function usageOf({ input, instructions }: ResponsesRequest, { pieces }: Said) {
  const given = 3 + tokensOf(textOf(input)) + tokensOf(instructions ?? '')
  const made = tokensOf(pieces.join(''))
  return {
    input_tokens: given,
    input_tokens_details: { cached_tokens: 0 },
    output_tokens: made,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens: given + made,
  }
}
