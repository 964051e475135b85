import assert from 'node:assert/strict'
import { test } from 'node:test'
import { askedAgain, canGoOn, goingOn, resumableRequest, type Continues } from '../../../sidecar/proxy/llm/resume/goOn.ts'
import type { Operation } from '../../../sidecar/proxy/llm/operation.ts'

const messages = [{ role: 'user', content: 'say "]}" \\' }]
const requestOf = (body: object, operation: Operation = 'chat') => resumableRequest(operation, Buffer.from(JSON.stringify(body)))

function asked(body: object, text: string, continues: Continues = 'assistant', operation: Operation = 'chat'): unknown {
  const request = requestOf(body, operation)
  assert.ok(request !== undefined && canGoOn(request))
  const going = goingOn(request, text, continues)
  return going && JSON.parse(going.body.toString())
}

test('each way of asking to go on is what its server knows', () => {
  const last = { role: 'assistant', content: 'Once "upon"\na' }
  const beside = (mark: object): unknown => ({ model: 'm', messages: [...messages, { ...last, ...mark }], x: [1] })
  const body = { model: 'm', messages, x: [1] }
  assert.deepEqual(asked(body, last.content), beside({}))
  assert.deepEqual(asked(body, last.content, 'prefix'), beside({ prefix: true }))
  assert.deepEqual(asked(body, last.content, 'echoed_prefix'), beside({ prefix: true }))
  assert.deepEqual(asked(body, last.content, 'partial'), beside({ partial: true }))
  assert.deepEqual(asked(body, last.content, 'continue_final_message'), {
    ...(beside({}) as object),
    continue_final_message: true,
    add_generation_prompt: false,
  })
  assert.equal(asked(body, last.content, 'off'), undefined)
  // Anthropic knows one way.
  assert.deepEqual(asked(body, last.content, 'prefix', 'messages'), beside({}))
  assert.deepEqual(asked({ prompt: 'Tell: "' }, ' Once\n', 'off', 'completions'), undefined)
  assert.deepEqual(asked({ prompt: 'Tell: "' }, ' Once\n', 'assistant', 'completions'), { prompt: 'Tell: " Once\n' })
})

test('every other byte of the request stays', () => {
  const body = Buffer.from(' { "messages" : [ {"role":"user" , "content":"hi"} ] ,\n"big": 12345678901234567890, "max_tokens" : 100 } ')
  const request = resumableRequest('chat', body)
  assert.ok(request !== undefined)
  assert.equal(
    goingOn(request, 'eight by', 'continue_final_message')?.body.toString(),
    ' {"continue_final_message":true,"add_generation_prompt":false, "messages" : [ {"role":"user" , "content":"hi"} ,{"role":"assistant","content":"eight by"}] ,\n"big": 12345678901234567890, "max_tokens" : 98 } ',
  )
  assert.equal(askedAgain(request, 'eight by').body, body)
})

test('white space at the end is not sent and may come again; half a character must', () => {
  const request = requestOf({ messages })
  assert.ok(request !== undefined)
  const seamOf = (text: string, continues: Continues = 'assistant') => goingOn(request, text, continues)?.seam
  assert.deepEqual(seamOf('a'), { text: '', at: 0, strict: false })
  assert.deepEqual(seamOf('a \n'), { text: ' \n', at: 0, strict: false })
  assert.deepEqual(seamOf('a \uD83D'), { text: ' \uD83D', at: 0, strict: true })
  assert.deepEqual(seamOf('a ', 'echoed_prefix'), { text: 'a ', at: 0, strict: true })
  assert.equal(seamOf(' \n'), undefined)
})

test('what has several answers, or cannot be matched by its text, is not resumed', () => {
  for (const more of [
    { n: 2 },
    { best_of: 3 },
    { logprobs: true },
    { logprobs: 0 },
    { top_logprobs: 2 },
    { audio: {} },
    { modalities: ['text', 'audio'] },
  ])
    assert.equal(requestOf({ messages, ...more }), undefined, JSON.stringify(more))
  for (const more of [{ n: 1 }, { n: null }, { logprobs: false }, { modalities: ['text'] }, { tools: [{}] }])
    assert.ok(requestOf({ messages, ...more }), JSON.stringify(more))
  assert.equal(requestOf({ prompt: ['a', 'b'] }, 'completions'), undefined)
  assert.equal(requestOf({ prompt: 'a', echo: true }, 'completions'), undefined)
  assert.equal(resumableRequest('chat', Buffer.from('{"messages":')), undefined)
})

test('a grammar, a thought and a beginning of its own are not gone on with', () => {
  for (const more of [
    { response_format: { type: 'json_schema' } },
    { guided_json: {} },
    { thinking: { type: 'enabled' } },
    { continue_final_message: false },
    { messages: [] },
    { messages: [...messages, { content: 'Sure', role: 'assistant' }] },
  ]) {
    const request = requestOf({ messages, ...more })
    assert.ok(request !== undefined && !canGoOn(request), JSON.stringify(more))
  }
  const infill = requestOf({ prompt: 'a', suffix: 'b' }, 'completions')
  assert.ok(infill !== undefined && !canGoOn(infill))
})

const begun = (text: string): object => ({
  type: 'message',
  id: 'msg_begun',
  status: 'in_progress',
  role: 'assistant',
  content: [{ type: 'output_text', text, annotations: [] }],
})

test('what has been said of a response is the last item of its input, in progress', () => {
  const user = { role: 'user', content: [{ type: 'input_text', text: 'say "]}"' }] }
  const result = { type: 'function_call_output', call_id: 'c', output: '1' }
  for (const input of [[user], [user, result]])
    assert.deepEqual(asked({ input, max_output_tokens: 10 }, 'a "b"\n', 'continue_final_message', 'responses'), {
      input: [...input, begun('a "b"')],
      max_output_tokens: 8,
    })
  assert.deepEqual(asked({ input: 'say "]}"' }, 'a', 'continue_final_message', 'responses'), {
    input: [{ type: 'message', role: 'user', content: 'say "]}"' }, begun('a')],
  })
  for (const continues of ['off', 'assistant', 'prefix', 'echoed_prefix', 'partial'] as const)
    assert.equal(asked({ input: 'hi' }, 'a', continues, 'responses'), undefined)
})

test('every other byte of a request for a response stays', () => {
  const body = Buffer.from(' { "input" : [ {"role":"user" , "content":"hi"} ] ,\n"big": 12345678901234567890 } ')
  const request = resumableRequest('responses', body)
  assert.ok(request !== undefined)
  assert.equal(
    goingOn(request, 'a', 'continue_final_message')?.body.toString(),
    ` { "input" : [ {"role":"user" , "content":"hi"} ,${JSON.stringify(begun('a'))}] ,\n"big": 12345678901234567890 } `,
  )
  assert.equal(askedAgain(request, 'a').body, body)
})

test('a response that is kept, refers to what is kept, or runs in the background is not resumed', () => {
  for (const more of [
    { store: true },
    { background: true },
    { previous_response_id: 'resp_1' },
    { conversation: { id: 'conv_1' } },
    { include: ['message.output_text.logprobs'] },
    { top_logprobs: 1 },
  ])
    assert.equal(requestOf({ input: 'hi', ...more }, 'responses'), undefined, JSON.stringify(more))
  for (const more of [
    {},
    { store: false },
    { previous_response_id: null, conversation: null, background: false, top_logprobs: 0 },
    { tools: [{}] },
  ])
    assert.ok(requestOf({ input: 'hi', ...more }, 'responses'), JSON.stringify(more))
})

test('a structure, a thought and a beginning of its own are not gone on with in a response either', () => {
  const schema = { type: 'object', description: 'x'.repeat(5_000) }
  const continued = (more: object): boolean => {
    const request = requestOf({ input: 'hi', ...more }, 'responses')
    return request !== undefined && canGoOn(request)
  }
  for (const more of [
    { text: { format: { type: 'json_object' } } },
    { text: { format: { schema, name: 'n', type: 'json_schema' } } },
    { reasoning: { effort: 'low' } },
    { reasoning: { summary: 'auto' } },
    { structured_outputs: { json: {} } },
    { input: [] },
    {
      input: [
        { role: 'user', content: 'hi' },
        { role: 'assistant', content: 'Sure' },
      ],
    },
    { input: [{ type: 'function_call', call_id: 'c', name: 'f', arguments: '' }] },
    { input: undefined },
  ])
    assert.ok(!continued(more), JSON.stringify(more))
  for (const more of [
    { text: { format: { type: 'text' }, verbosity: 'low' } },
    { text: { verbosity: 'low' } },
    { reasoning: null },
    { reasoning: { effort: 'none' } },
  ])
    assert.ok(continued(more), JSON.stringify(more))
})
