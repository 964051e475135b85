import assert from 'node:assert/strict'
import { test } from 'node:test'
import OpenAI, {
  APIConnectionTimeoutError,
  APIUserAbortError,
  AuthenticationError,
  BadRequestError,
  InternalServerError,
  NotFoundError,
  RateLimitError,
  toFile,
} from 'openai'
import { zodResponseFormat } from 'openai/helpers/zod'
import { z } from 'zod'
import { chat, cutting, deadUpstream, eachCut, stall, stallAfter } from '../fixtures/provider.ts'
import { atOnce, attempts, behindDeadUpstream, behindSidecar, demo, failing, gone, keyWasChanged, spoken, times } from './behindSidecar.ts'

const messages = [{ role: 'user' as const, content: 'Good morning' }]
const asked = { model: 'gpt-4o-mini', messages }

/** As an app makes it: everything it is told stands in its environment. */
const client = (options: { timeout?: number } = {}): OpenAI => new OpenAI({ logLevel: 'off', ...options })

test('openai: a chat, models, responses and a list of embeddings are answered with a key that the app does not have', async (t) => {
  const behind = await behindSidecar(t)
  const openai = client()
  const { data, response, request_id: requestId } = await openai.chat.completions.create(asked).withResponse()
  assert.match(data.choices[0]?.message.content ?? '', /^You said: “Good morning”/)
  assert.equal(response.headers.get('x-outrider-attempts'), '1')
  assert.match(requestId ?? '', /^req_/)
  assert.ok((await openai.models.list()).data.length > 0)
  assert.match((await openai.responses.create({ model: 'gpt-5-mini', input: 'Good morning' })).output_text, /^You said/)
  const embeddings = await openai.embeddings.create({ model: 'text-embedding-3-small', input: ['one', 'two', 'one'] })
  const [first, second, third] = embeddings.data.map(({ embedding }) => embedding)
  assert.equal(first?.length, 1536)
  assert.deepEqual(first, third)
  assert.notDeepEqual(first, second)
  keyWasChanged(behind)
})

eachCut('openai: a stream gives every piece and its usage, as chat and as responses', async (t, cut) => {
  await behindSidecar(t, cutting(cut, demo()))
  const openai = client()
  let text = ''
  let used = 0
  for await (const { choices, usage } of await openai.chat.completions.create({
    ...asked,
    stream: true,
    stream_options: { include_usage: true },
  })) {
    text += choices[0]?.delta.content ?? ''
    used += usage?.completion_tokens ?? 0
  }
  assert.match(text, /^You said: “Good morning”.*clever\.$/)
  assert.ok(used > 20)
  const final = await openai.responses.stream({ model: 'gpt-5-mini', input: 'Good morning' }).finalResponse()
  assert.equal(final.output_text, text)
})

test('openai: tools and structured answers arrive whole', async (t) => {
  await behindSidecar(t)
  const openai = client()
  const parameters = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'], additionalProperties: false }
  const tools = [{ type: 'function' as const, function: { name: 'weather', parameters } }]
  const called = { ...asked, tools, tool_choice: 'required' as const }
  const whole = await openai.chat.completions.create(called)
  const streamed = await openai.chat.completions.stream(called).finalChatCompletion()
  for (const { choices } of [whole, streamed]) {
    const call = choices[0]?.message.tool_calls?.[0]
    assert.ok(call?.type === 'function')
    assert.deepEqual([call.function.name, JSON.parse(call.function.arguments)], ['weather', { city: 'demo' }])
  }
  const shape = z.object({ name: z.string(), sunny: z.boolean() })
  const parsed = await openai.chat.completions.parse({ ...asked, response_format: zodResponseFormat(shape, 'thing') })
  assert.deepEqual(parsed.choices[0]?.message.parsed, { name: 'demo', sunny: true })
})

test('openai: a file and a recording arrive with every byte', async (t) => {
  const behind = await behindSidecar(t)
  const openai = client()
  const bytes = Buffer.alloc(3 << 20, 'outrider')
  const file = await openai.files.create({ file: await toFile(bytes, 'lines.jsonl'), purpose: 'batch' })
  assert.deepEqual([file.bytes, file.filename, file.purpose], [bytes.length, 'lines.jsonl', 'batch'])
  const heard = await openai.audio.transcriptions.create({ file: await toFile(bytes, 'voice.wav'), model: 'whisper-1' })
  assert.match(heard.text, /voice\.wav, which came in a form of 31\d{5} bytes/)
  keyWasChanged(behind)
})

const errors = [
  { status: 400, type: BadRequestError, reached: 1 },
  { status: 401, type: AuthenticationError, reached: 1 },
  { status: 404, type: NotFoundError, reached: 1 },
  { status: 429, type: RateLimitError, reached: 3 },
  { status: 500, type: InternalServerError, reached: 3 },
]
for (const { status, type, reached } of errors) {
  test(`openai: ${status} is a ${type.name} with the provider's own words, after ${reached} attempt(s)`, async (t) => {
    const behind = await behindSidecar(t, times(reached, failing(status, { ...atOnce, 'x-request-id': 'req_theirs' })))
    await assert.rejects(client().chat.completions.create(asked), (err) => {
      assert.ok(err instanceof type)
      assert.deepEqual([err.status, err.type, err.requestID], [status, 'demo_error', 'req_theirs'])
      assert.match(err.message, new RegExp(`scripted ${status}`))
      return true
    })
    assert.equal(attempts(behind), reached)
    assert.deepEqual(
      behind.upstream.seen.map(({ headers }) => headers['x-stainless-retry-count']),
      ['0', '1', '2'].slice(0, reached),
    )
  })
}

test('openai: what the provider says about repeating is obeyed, in both directions', async (t) => {
  const never = failing(500, { ...atOnce, 'x-should-retry': 'false' })
  const please = failing(400, { ...atOnce, 'x-should-retry': 'true' })
  const behind = await behindSidecar(t, [never, please, chat('at last')])
  const openai = client()
  await assert.rejects(openai.chat.completions.create(asked), InternalServerError)
  assert.equal(attempts(behind), 1)
  assert.equal((await openai.chat.completions.create(asked)).choices[0]?.message.content, 'at last')
  assert.equal(attempts(behind), 3)
})

test('openai: the first 429 of a stream is repeated by the SDK, and the stream then comes whole', async (t) => {
  const behind = await behindSidecar(t, [failing(429, atOnce), chat('one two three')])
  let text = ''
  for await (const { choices } of await client().chat.completions.create({ ...asked, stream: true }))
    text += choices[0]?.delta.content ?? ''
  assert.equal(text, 'one two three')
  assert.equal(attempts(behind), 2)
})

test('openai: a refused connection is an InternalServerError that says whose fault it is, after three calls', async (t) => {
  const sidecar = await behindDeadUpstream(t, await deadUpstream())
  await assert.rejects(client().chat.completions.create(asked), (err) => {
    assert.ok(err instanceof InternalServerError)
    assert.deepEqual([err.status, err.code, err.headers.get('x-outrider-error')], [502, 'connect_failed', 'connect_failed'])
    assert.match(err.message, /Upstream fake could not be reached: .*1 attempt,/)
    return true
  })
  for (const n of [0, 1, 2]) assert.equal((await sidecar.callLine(n))['error'], 'connect_failed')
  assert.equal(sidecar.log().split('"msg":"call"').length - 1, 3)
})

test('openai: the client that has waited long enough gets its own timeout, and no attempt is left at the upstream', async (t) => {
  const behind = await behindSidecar(t, stall())
  const openai = client({ timeout: 200 })
  await assert.rejects(openai.chat.completions.create(asked, { maxRetries: 1 }), APIConnectionTimeoutError)
  await gone(behind, 0)
  await gone(behind, 1)
  assert.equal(attempts(behind), 2)
})

test('openai: a bound of the sidecar is a 504 that names the bound', async (t) => {
  const behind = await behindSidecar(t, stall(), { timeouts: { total: '200ms' } })
  await assert.rejects(client().chat.completions.create(asked, { maxRetries: 0 }), (err) => {
    assert.ok(err instanceof InternalServerError)
    assert.deepEqual([err.status, err.code], [504, 'total_timeout'])
    return true
  })
  await gone(behind)
})

for (const how of ['break', 'abort'] as const) {
  test(`openai: a stream that the app leaves (${how}) ends at the upstream before the app does anything else`, async (t) => {
    const behind = await behindSidecar(t, stallAfter(...spoken('one two three')))
    const stream = await client().chat.completions.create({ ...asked, stream: true })
    let read = 0
    try {
      for await (const _chunk of stream) {
        read += 1
        if (how === 'break') break
        stream.controller.abort()
      }
    } catch (err) {
      assert.ok(err instanceof APIUserAbortError)
    }
    await gone(behind)
    assert.ok(read > 0)
    assert.equal((await behind.sidecar.callLine(0))['error'], 'client_gone')
  })
}

test('openai: a call that the app takes back while the model thinks ends at the upstream', async (t) => {
  const behind = await behindSidecar(t, stall())
  const abort = new AbortController()
  const call = client().chat.completions.create(asked, { signal: abort.signal })
  const refused = assert.rejects(call, APIUserAbortError)
  await behind.upstream.request(0)
  abort.abort()
  await gone(behind)
  await refused
  assert.equal(attempts(behind), 1)
})
