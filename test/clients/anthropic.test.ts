import assert from 'node:assert/strict'
import { test } from 'node:test'
import Anthropic, {
  APIConnectionTimeoutError,
  APIError,
  APIUserAbortError,
  AuthenticationError,
  InternalServerError,
  NotFoundError,
  RateLimitError,
  toFile,
} from '@anthropic-ai/sdk'
import { zodOutputFormat } from '@anthropic-ai/sdk/helpers/zod'
import { z } from 'zod'
import { answers, cutAfter, cutting, deadUpstream, eachCut, stall, stallAfter } from '../fixtures/provider.ts'
import {
  atOnce,
  attempts,
  behindDeadUpstream,
  behindSidecar,
  demo,
  failing,
  gone,
  keyWasChanged,
  messageBegun,
  times,
} from './behindSidecar.ts'

const messages = [{ role: 'user' as const, content: 'Good morning' }]
const asked = { model: 'claude-demo', max_tokens: 100, messages }
/** As an app makes it: everything it is told stands in its environment. */
const client = (options: { timeout?: number } = {}): Anthropic => new Anthropic({ logLevel: 'off', ...options })

for (const auth of ['x-api-key', 'bearer']) {
  test(`anthropic: a message and a count of tokens are answered, with the key as ${auth}`, async (t) => {
    const behind = await behindSidecar(t, demo(), {}, { auth })
    const anthropic = client()
    const { data, response, request_id: requestId } = await anthropic.messages.create(asked).withResponse()
    assert.ok(data.content[0]?.type === 'text')
    assert.match(data.content[0].text, /^You said: “Good morning”/)
    assert.match(requestId ?? '', /^req_/)
    assert.equal(response.headers.get('x-outrider-upstream'), 'fake')
    assert.ok((await anthropic.messages.countTokens({ model: 'claude-demo', messages })).input_tokens > 3)
    keyWasChanged(behind)
    assert.match(String(behind.upstream.seen[0]?.headers['anthropic-version']), /^\d{4}-\d\d-\d\d$/)
  })
}

eachCut('anthropic: a stream gives every piece and its usage', async (t, cut) => {
  await behindSidecar(t, cutting(cut, demo()))
  let text = ''
  const stream = client().messages.stream(asked)
  stream.on('text', (piece) => (text += piece))
  const { content, stop_reason: reason, usage } = await stream.finalMessage()
  assert.ok(content[0]?.type === 'text')
  assert.equal(content[0].text, text)
  assert.match(text, /^You said: “Good morning”.*clever\.$/)
  assert.equal(reason, 'end_turn')
  assert.ok(usage.output_tokens > 20)
})

test('anthropic: tools arrive whole, at once and streamed', async (t) => {
  await behindSidecar(t)
  const tools = [{ name: 'weather', input_schema: { type: 'object' as const, properties: { city: { type: 'string' } } } }]
  const called = { ...asked, tools, tool_choice: { type: 'tool' as const, name: 'weather' } }
  const whole = await client().messages.create(called)
  const streamed = await client().messages.stream(called).finalMessage()
  for (const { content, stop_reason: reason } of [whole, streamed]) {
    assert.ok(content[0]?.type === 'tool_use')
    assert.deepEqual([content[0].name, content[0].input, reason], ['weather', { city: 'demo' }, 'tool_use'])
  }
})

test('anthropic: a structured answer is asked for with its schema, and parsed', async (t) => {
  const usage = { input_tokens: 1, output_tokens: 1 }
  const said = { id: 'msg_1', type: 'message', role: 'assistant', content: [{ type: 'text', text: '{"name":"demo"}' }], usage }
  const behind = await behindSidecar(t, answers(200, said))
  const format = zodOutputFormat(z.object({ name: z.string() }))
  const { parsed_output: parsed } = await client().messages.parse({ ...asked, output_config: { format } })
  assert.deepEqual(parsed, { name: 'demo' })
  assert.match(behind.upstream.seen[0]?.body.toString() ?? '', /"json_schema"/)
})

test('anthropic: a file arrives with every byte', async (t) => {
  const behind = await behindSidecar(t)
  const bytes = Buffer.alloc(3 << 20, 'outrider')
  const file = await client().beta.files.upload({ file: await toFile(bytes, 'notes.txt', { type: 'text/plain' }) })
  // The fake provider answers as OpenAI does, whose name for the size is another.
  const { filename, bytes: size } = file as unknown as { filename: string; bytes: number }
  assert.deepEqual([filename, size], ['notes.txt', bytes.length])
  keyWasChanged(behind)
})

const errors = [
  { status: 401, type: AuthenticationError, reached: 1 },
  { status: 404, type: NotFoundError, reached: 1 },
  { status: 429, type: RateLimitError, reached: 3 },
  { status: 500, type: InternalServerError, reached: 3 },
  { status: 529, type: InternalServerError, reached: 3 },
]
for (const { status, type, reached } of errors) {
  test(`anthropic: ${status} is ${type.name} with the provider's own words, after ${reached} attempt(s)`, async (t) => {
    const behind = await behindSidecar(t, times(reached, failing(status, { ...atOnce, 'request-id': 'req_theirs' })))
    await assert.rejects(client().messages.create(asked), (err) => {
      assert.ok(err instanceof type)
      assert.deepEqual([err.status, err.requestID], [status, 'req_theirs'])
      assert.match(err.message, new RegExp(`scripted ${status}`))
      return true
    })
    assert.equal(attempts(behind), reached)
  })
}

test('anthropic: what the provider says about repeating is obeyed, in both directions', async (t) => {
  const never = failing(529, { ...atOnce, 'x-should-retry': 'false' })
  const please = failing(400, { ...atOnce, 'x-should-retry': 'true' })
  const behind = await behindSidecar(t, [never, please, demo()])
  await assert.rejects(client().messages.create(asked), InternalServerError)
  assert.equal(attempts(behind), 1)
  assert.equal((await client().messages.create(asked)).stop_reason, 'end_turn')
  assert.equal(attempts(behind), 3)
})

test("anthropic: a refused connection is an error in Anthropic's shape that says whose fault it is, after three calls", async (t) => {
  const sidecar = await behindDeadUpstream(t, await deadUpstream())
  await assert.rejects(client().messages.create(asked), (err) => {
    assert.ok(err instanceof InternalServerError)
    assert.deepEqual([err.status, err.type, err.headers.get('x-outrider-error')], [502, 'api_error', 'connect_failed'])
    assert.match(err.message, /Upstream fake could not be reached: .*1 attempt,/)
    return true
  })
  for (const n of [0, 1, 2]) assert.equal((await sidecar.callLine(n))['error'], 'connect_failed')
  assert.equal(sidecar.log().split('"msg":"call"').length - 1, 3)
})

test('anthropic: the client that has waited long enough gets its own timeout, and no attempt is left at the upstream', async (t) => {
  const behind = await behindSidecar(t, stall())
  await assert.rejects(client({ timeout: 200 }).messages.create(asked, { maxRetries: 1 }), APIConnectionTimeoutError)
  await gone(behind, 0)
  await gone(behind, 1)
  assert.equal(attempts(behind), 2)
})

eachCut('anthropic: a stream that breaks off is an error, not a short message, and is not asked for again', async (t, cut) => {
  const behind = await behindSidecar(t, [cutting(cut, cutAfter(...messageBegun))])
  await assert.rejects(client().messages.stream(asked).finalMessage(), (err) => {
    assert.ok(err instanceof APIError)
    assert.match(err.message, /reply_cut/)
    return true
  })
  assert.equal(attempts(behind), 1)
})

for (const how of ['break', 'abort'] as const) {
  test(`anthropic: a stream that the app leaves (${how}) ends at the upstream before the app does anything else`, async (t) => {
    const behind = await behindSidecar(t, stallAfter(...messageBegun))
    const stream = await client().messages.create({ ...asked, stream: true })
    let read = 0
    try {
      for await (const _event of stream) {
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
