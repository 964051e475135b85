import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { test, type TestContext } from 'node:test'
import OpenAI from 'openai'
import { startProvider, type ProviderOptions } from '../../sidecar/demo/provider.ts'
import { testCertificates } from '../fixtures/provider.ts'

const key = 'sk-test'

async function start(t: TestContext, options: ProviderOptions = {}) {
  const provider = await startProvider({ expectKey: key, ...options })
  t.after(provider.close)
  const client = new OpenAI({ baseURL: `${provider.url}/v1`, apiKey: key, maxRetries: 0 })
  const post = (path: string, body: unknown, headers: Record<string, string> = {}) =>
    fetch(provider.url + path, { method: 'POST', body: JSON.stringify(body), headers: { authorization: `Bearer ${key}`, ...headers } })
  return { provider, client, post }
}

const messages = [{ role: 'user' as const, content: 'Good morning' }]
const parameters = {
  type: 'object',
  properties: { city: { type: 'string' }, unit: { enum: ['celsius', 'fahrenheit'] }, days: { type: 'integer', minimum: 3 } },
  required: ['city', 'unit', 'days'],
  additionalProperties: false,
}
const expectedArguments = { city: 'demo', unit: 'celsius', days: 3 }

test('models are listed and looked up', async (t) => {
  const { client } = await start(t, { models: ['one', 'org/two'] })
  const { data } = await client.models.list()
  assert.deepEqual(
    data.map(({ id }) => id),
    ['one', 'org/two'],
  )
  assert.equal((await client.models.retrieve('org/two')).id, 'org/two')
  await assert.rejects(client.models.retrieve('three'), { status: 404, code: 'model_not_found' })
})

test('a chat is answered whole, n times, with a plausible bill', async (t) => {
  const { client } = await start(t)
  const { data, response } = await client.chat.completions.create({ model: 'gpt-4o-mini', messages, n: 2 }).withResponse()
  assert.equal(data.choices.length, 2)
  assert.match(data.choices[1]?.message.content ?? '', /^You said: “Good morning”\. /)
  assert.equal(data.choices[0]?.finish_reason, 'stop')
  const { prompt_tokens: prompt = 0, completion_tokens: completion = 0, total_tokens: total } = data.usage ?? {}
  assert.ok(prompt >= 3 && completion > 20, `${prompt} ${completion}`)
  assert.equal(total, prompt + completion)
  assert.match(response.headers.get('x-request-id') ?? '', /^req_/)
  assert.match(response.headers.get('x-ratelimit-reset-tokens') ?? '', /^[\d.]+m?s$/)
  assert.equal(response.headers.get('x-ratelimit-remaining-requests'), '9999')
  const cut = await client.chat.completions.create({ model: 'gpt-4o-mini', messages, max_completion_tokens: 2 })
  assert.deepEqual([cut.choices[0]?.message.content, cut.choices[0]?.finish_reason], ['You said:', 'length'])
})

test('a streamed chat adds up, in the SDK and on the wire', async (t) => {
  const { client, post } = await start(t)
  const stream = client.chat.completions.stream({ model: 'gpt-4o-mini', messages, stream_options: { include_usage: true } })
  let deltas = ''
  stream.on('content', (delta) => (deltas += delta))
  const { choices, usage } = await stream.finalChatCompletion()
  assert.equal(choices[0]?.message.content, deltas)
  assert.equal(choices[0]?.finish_reason, 'stop')
  assert.ok((usage?.completion_tokens ?? 0) > 20)
  const reply = await post('/v1/chat/completions', { model: 'gpt-4o-mini', messages, stream: true })
  const text = await reply.text()
  assert.match(text, /^(data: \{.*\}\n\n)+data: \[DONE\]\n\n$/)
  assert.doesNotMatch(text, /"usage"/)
})

test('a forced tool is called, in a chat whole and streamed', async (t) => {
  const { client } = await start(t)
  const tools = [{ type: 'function' as const, function: { name: 'weather', parameters } }]
  const asked = { model: 'gpt-4o-mini', messages, tools, tool_choice: 'required' as const }
  const whole = await client.chat.completions.create(asked)
  const streamed = await client.chat.completions.stream(asked).finalChatCompletion()
  for (const { choices } of [whole, streamed]) {
    const call = choices[0]?.message.tool_calls?.[0]
    assert.ok(call?.type === 'function')
    assert.equal(call.function.name, 'weather')
    assert.deepEqual(JSON.parse(call.function.arguments), expectedArguments)
    assert.equal(choices[0]?.finish_reason, 'tool_calls')
  }
  const free = await client.chat.completions.create({ ...asked, tool_choice: 'auto' })
  assert.equal(free.choices[0]?.message.tool_calls, undefined)
})

test('a structured answer satisfies its schema', async (t) => {
  const { client } = await start(t)
  const schema = {
    type: 'object',
    properties: { name: { type: 'string' }, tags: { type: 'array', items: { $ref: '#/$defs/tag' } }, next: { anyOf: [{ type: 'null' }] } },
    $defs: { tag: { type: 'object', properties: { on: { type: 'boolean' }, at: { type: 'string', format: 'date' } } } },
  }
  const format = { type: 'json_schema' as const, json_schema: { name: 'thing', schema } }
  const { choices } = await client.chat.completions.create({ model: 'gpt-4o-mini', messages, response_format: format })
  const expected = { name: 'demo', tags: [{ on: true, at: '2026-01-31' }], next: null }
  assert.deepEqual(JSON.parse(choices[0]?.message.content ?? ''), expected)
  const text = { format: { type: 'json_schema' as const, name: 'thing', schema } }
  assert.deepEqual(JSON.parse((await client.responses.create({ model: 'gpt-5-mini', input: 'Hi', text })).output_text), expected)
})

test('a schema that refers to itself comes to an end', async (t) => {
  const { client } = await start(t)
  const schema = { type: 'object', properties: { next: { anyOf: [{ $ref: '#' }, { type: 'null' }] }, all: { items: { $ref: '#' } } } }
  const format = { type: 'json_schema' as const, json_schema: { name: 'list', schema } }
  const { choices } = await client.chat.completions.create({ model: 'gpt-4o-mini', messages, response_format: format })
  assert.ok(JSON.parse(choices[0]?.message.content ?? ''))
})

test('responses stream events that the SDK can put together', async (t) => {
  const { client } = await start(t)
  const stream = client.responses.stream({ model: 'gpt-5-mini', input: 'Good morning' })
  const types: string[] = []
  const numbers: number[] = []
  for await (const event of stream) {
    if (types.at(-1) !== event.type) types.push(event.type)
    numbers.push(event.sequence_number)
  }
  const names = ['created', 'in_progress', 'output_item.added', 'content_part.added', 'output_text.delta']
  names.push('output_text.done', 'content_part.done', 'output_item.done', 'completed')
  assert.deepEqual(
    types,
    names.map((name) => `response.${name}`),
  )
  assert.deepEqual(
    numbers,
    numbers.map((_, index) => index),
  )
  const { output_text: text, usage } = await stream.finalResponse()
  assert.match(text, /^You said: “Good morning”/)
  assert.ok((usage?.output_tokens ?? 0) > 20)
})

test('responses call a forced tool and say when they were cut', async (t) => {
  const { client } = await start(t)
  const tools = [{ type: 'function' as const, name: 'weather', parameters, strict: true }]
  const choice = { type: 'function' as const, name: 'weather' }
  const asked = { model: 'gpt-5-mini', input: 'Hi', tools, tool_choice: choice }
  for (const { output } of [await client.responses.create(asked), await client.responses.stream(asked).finalResponse()]) {
    assert.ok(output[0]?.type === 'function_call')
    assert.deepEqual(JSON.parse(output[0].arguments), expectedArguments)
  }
  const cut = await client.responses.create({ model: 'gpt-5-mini', input: 'Hi', max_output_tokens: 1 })
  assert.deepEqual([cut.status, cut.output_text, cut.incomplete_details?.reason], ['incomplete', 'You', 'max_output_tokens'])
})

test('legacy completions answer whole and streamed', async (t) => {
  const { client } = await start(t)
  const asked = { model: 'gpt-3.5-turbo-instruct', prompt: 'Good morning' }
  const whole = await client.completions.create(asked)
  let text = ''
  for await (const { choices } of await client.completions.create({ ...asked, stream: true })) text += choices[0]?.text ?? ''
  assert.equal(text, whole.choices[0]?.text)
})

test('embeddings are the same for the same text, in both encodings', async (t) => {
  const { client } = await start(t)
  const asked = { model: 'text-embedding-3-small', dimensions: 8 }
  const { data, usage } = await client.embeddings.create({ ...asked, input: ['one', 'two', 'one'] })
  const [one, two, again] = data.map(({ embedding }) => embedding)
  assert.ok(one)
  assert.equal(one.length, 8)
  assert.deepEqual(one, again)
  assert.notDeepEqual(one, two)
  assert.ok(Math.abs(Math.hypot(...one) - 1) < 1e-6)
  assert.equal(usage.prompt_tokens, 3)
  const floats = await client.embeddings.create({ ...asked, input: 'one', encoding_format: 'float' })
  assert.deepEqual(floats.data[0]?.embedding, one)
  const tokens = await client.embeddings.create({ model: asked.model, input: [[1, 2], [3]] })
  assert.deepEqual([tokens.data.length, tokens.data[0]?.embedding.length], [2, 1536])
})

test('audio, files, images and moderations answer in their own forms', async (t) => {
  const { client } = await start(t)
  const speech = await client.audio.speech.create({ model: 'gpt-4o-mini-tts', voice: 'alloy', input: 'Good morning' })
  assert.equal(speech.headers.get('content-type'), 'audio/mpeg')
  assert.equal(Buffer.from(await speech.arrayBuffer()).readUInt16BE(), 0xfffb)
  const file = new File([Buffer.alloc(1234)], 'a.wav')
  assert.match((await client.audio.transcriptions.create({ model: 'whisper-1', file })).text, /a\.wav/)
  const { bytes, filename, purpose } = await client.files.create({ file, purpose: 'batch' })
  assert.deepEqual({ bytes, filename, purpose }, { bytes: 1234, filename: 'a.wav', purpose: 'batch' })
  const images = await client.images.generate({ prompt: 'a dot', n: 2 })
  assert.deepEqual(
    images.data?.map(({ b64_json: image }) => Buffer.from(image ?? '', 'base64').toString('latin1', 1, 4)),
    ['PNG', 'PNG'],
  )
  const { results } = await client.moderations.create({ input: ['a', 'b'] })
  assert.deepEqual(
    results.map(({ flagged }) => flagged),
    [false, false],
  )
})

const anthropic = { authorization: '', 'x-api-key': key, 'anthropic-version': '2023-06-01' }

test('messages answer and stream as Anthropic does', async (t) => {
  const { post } = await start(t)
  const asked = { model: 'claude-sonnet-4-5', max_tokens: 100, messages }
  const reply = await post('/v1/messages', asked, anthropic)
  const { content, stop_reason: reason } = (await reply.json()) as { content: { text: string }[]; stop_reason: string }
  assert.match(content[0]?.text ?? '', /^You said: “Good morning”/)
  assert.equal(reason, 'end_turn')
  assert.match(reply.headers.get('request-id') ?? '', /^req_/)
  const text = await (await post('/v1/messages', { ...asked, stream: true }, anthropic)).text()
  const names = [...text.matchAll(/^event: (.*)\ndata: \{"type":"(.*?)"/gm)].map(([, name, type]) =>
    name === type ? name : `${name} is ${type}`,
  )
  const block = ['content_block_start', 'ping', 'content_block_delta', 'content_block_stop']
  assert.deepEqual([...new Set(names)], ['message_start', ...block, 'message_delta', 'message_stop'])
  const deltas = [...text.matchAll(/"text_delta","text":("(?:[^"\\]|\\.)*")/g)].map(([, piece = '""']) => JSON.parse(piece) as string)
  assert.equal(deltas.join(''), content[0]?.text)
  const bearer = await post('/v1/messages', asked, { 'anthropic-version': '2023-06-01' })
  assert.equal(bearer.status, 200)
  const tools = [{ name: 'weather', input_schema: parameters }]
  const forced = await post('/v1/messages', { ...asked, tools, tool_choice: { type: 'any' } }, anthropic)
  assert.deepEqual(((await forced.json()) as { content: { input: object }[] }).content[0]?.input, expectedArguments)
  const count = await post('/v1/messages/count_tokens', asked, anthropic)
  assert.deepEqual(await count.json(), { input_tokens: 10 })
})

test('refusals have the form of the API', async (t) => {
  const { provider, client, post } = await start(t)
  const chat = { model: 'gpt-4o-mini', messages }
  const stranger = new OpenAI({ baseURL: `${provider.url}/v1`, apiKey: 'sk-wrong', maxRetries: 0 })
  await assert.rejects(stranger.chat.completions.create(chat), { status: 401, code: 'invalid_api_key', type: 'invalid_request_error' })
  await assert.rejects(client.chat.completions.create({ ...chat, model: 'none' }), { status: 404, code: 'model_not_found', param: 'model' })
  await assert.rejects(client.post('/nowhere'), { status: 404 })
  await assert.rejects(client.post('/chat/completions', { body: [1] }), { status: 400, type: 'invalid_request_error' })
  const noKey = await post('/v1/chat/completions', chat, { authorization: '' })
  assert.equal(noKey.status, 401)
  for (const [headers, body, status, type] of [
    [{ ...anthropic, 'x-api-key': 'wrong' }, chat, 401, 'authentication_error'],
    [{ ...anthropic, 'x-api-key': '' }, chat, 401, 'authentication_error'],
    [anthropic, { ...chat, model: 'none' }, 404, 'not_found_error'],
    [anthropic, 'text', 400, 'invalid_request_error'],
    [{ 'x-api-key': key }, chat, 400, 'invalid_request_error'],
  ] as const) {
    const reply = await post('/v1/messages', body, headers)
    const refusal = (await reply.json()) as { type: string; error: { type: string }; request_id: string }
    assert.deepEqual([reply.status, refusal.type, refusal.error.type], [status, 'error', type])
    assert.equal(reply.headers.get('request-id'), refusal.request_id)
  }
})

test('a client that leaves ends the generation and is counted', async (t) => {
  // Slow enough that no answer would ever end by itself in a test.
  const { provider } = await start(t, { tokenMs: 600_000 })
  for (const stream of [true, false]) {
    const req = request(`${provider.url}/v1/chat/completions`, {
      method: 'POST',
      agent: false,
      headers: { authorization: `Bearer ${key}` },
    })
    req.on('error', () => {})
    req.end(JSON.stringify({ model: 'gpt-4o-mini', messages, stream }))
    await once(req, stream ? 'response' : 'finish')
    while (provider.seen.length < (stream ? 1 : 2)) await new Promise((resolve) => setImmediate(resolve))
    const seen = provider.seen.at(-1)
    await seen?.whole
    req.destroy()
    assert.equal(await seen?.closed, true)
    assert.equal(seen?.aborted, true)
  }
  assert.equal(provider.aborted, 2)
})

test('what was asked is kept as it came, and only where it is read', async (t) => {
  const { provider, post } = await start(t)
  await post('/v1/chat/completions?a=1', { model: 'gpt-4o-mini', odd: '\u00e9' }, { 'X-Odd': 'x' })
  const [seen] = provider.seen
  assert.deepEqual([seen?.method, seen?.path, seen?.headers['x-odd']], ['POST', '/v1/chat/completions?a=1', 'x'])
  assert.equal(seen?.body.toString(), '{"model":"gpt-4o-mini","odd":"é"}')
  assert.equal(seen?.aborted, false)
  const forgetful = await start(t, { remember: false })
  await forgetful.client.models.list()
  assert.equal(forgetful.provider.seen.length, 0)
})

test('the provider speaks TLS', async (t) => {
  const { server, ca } = testCertificates()
  const { provider } = await start(t, { tls: { cert: server.cert, key: server.key } })
  const headers = { authorization: `Bearer ${key}` }
  const req = httpsRequest(`https://localhost:${provider.port}/v1/models`, { agent: false, ca: ca.cert, headers }).end()
  const [res] = (await once(req, 'response')) as [import('node:http').IncomingMessage]
  assert.equal(res.resume().statusCode, 200)
})
