import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HumanMessage } from '@langchain/core/messages'
import { ChatOpenAI, OpenAIEmbeddings } from '@langchain/openai'
import { z } from 'zod'
import { chat, cutAfter, cutting, deadUpstream, eachCut, stall, stallAfter } from '../fixtures/provider.ts'
import { attempts, behindDeadUpstream, behindSidecar, demo, failing, gone, keyWasChanged, spoken, times } from './behindSidecar.ts'

/** As an app makes it: everything it is told stands in its environment. */
const model = (options: { maxRetries?: number; timeout?: number } = {}): ChatOpenAI => new ChatOpenAI({ model: 'gpt-4o-mini', ...options })

test('langchain: a chat, a batch and embeddings are answered with a key that the app does not have', async (t) => {
  const behind = await behindSidecar(t)
  const said = await model().invoke('Good morning')
  assert.match(said.text, /^You said: “Good morning”/)
  assert.match(JSON.stringify(said.response_metadata), /"completionTokens":\d\d/)
  const both = await model().batch([[new HumanMessage('one')], [new HumanMessage('two')]])
  assert.deepEqual(
    both.map(({ text }) => text.slice(0, 15)),
    ['You said: “one”', 'You said: “two”'],
  )
  const embeddings = new OpenAIEmbeddings({ model: 'text-embedding-3-small' })
  const [first, second] = await embeddings.embedDocuments(['one', 'two'])
  assert.deepEqual(await embeddings.embedQuery('one'), first)
  assert.notDeepEqual(first, second)
  keyWasChanged(behind)
})

eachCut('langchain: a stream gives every piece', async (t, cut) => {
  await behindSidecar(t, cutting(cut, demo()))
  const pieces: string[] = []
  for await (const chunk of await model().stream('Good morning')) pieces.push(chunk.text)
  assert.ok(pieces.length > 10)
  assert.match(pieces.join(''), /^You said: “Good morning”.*clever\.$/)
})

test('langchain: tools and structured answers arrive whole', async (t) => {
  await behindSidecar(t)
  const weather = {
    type: 'function' as const,
    function: { name: 'weather', parameters: { type: 'object', properties: { city: { type: 'string' } } } },
  }
  const bound = model().bindTools([weather], { tool_choice: 'weather' })
  const { tool_calls: calls } = await bound.invoke('Good morning')
  assert.deepEqual(
    calls?.map(({ name, args }) => [name, args]),
    [['weather', { city: 'demo' }]],
  )
  const shape = z.object({ name: z.string(), sunny: z.boolean() })
  assert.deepEqual(await model().withStructuredOutput(shape).invoke('Good morning'), { name: 'demo', sunny: true })
})

// LangChain counts its own repeats, waits a second and more before each, and does not look at retry-after-ms.
const errors = [
  { status: 401, code: 'MODEL_AUTHENTICATION', reached: 1 },
  { status: 404, code: 'MODEL_NOT_FOUND', reached: 1 },
  { status: 429, code: 'MODEL_RATE_LIMIT', headers: {}, reached: 1 },
  { status: 429, code: 'MODEL_RATE_LIMIT', headers: { 'retry-after': '0' }, reached: 2 },
  { status: 500, code: undefined, reached: 2 },
]
for (const { status, code, headers = {}, reached } of errors) {
  const told = 'retry-after' in headers ? ' with retry-after' : ''
  test(`langchain: ${status}${told} is ${code ?? 'an error with its status'} after ${reached} attempt(s) of two`, async (t) => {
    const behind = await behindSidecar(t, times(reached, failing(status, headers)))
    await assert.rejects(model({ maxRetries: 1 }).invoke('Good morning'), (err: Error & { status?: number; lc_error_code?: string }) => {
      assert.deepEqual([err.status, err.lc_error_code], [status, code])
      assert.match(err.message, new RegExp(`scripted ${status}`))
      return true
    })
    assert.equal(attempts(behind), reached)
  })
}

test('langchain: x-should-retry is not looked at: the SDK beneath obeys it, LangChain above repeats all the same', async (t) => {
  const behind = await behindSidecar(t, [failing(500, { 'x-should-retry': 'false' }), chat('at last')])
  assert.equal((await model({ maxRetries: 1 }).invoke('Good morning')).text, 'at last')
  assert.equal(attempts(behind), 2)
})

test('langchain: a refused connection says whose fault it is, and is repeated as often as the app asked for', async (t) => {
  const sidecar = await behindDeadUpstream(t, await deadUpstream())
  await assert.rejects(model({ maxRetries: 1 }).invoke('Good morning'), {
    status: 502,
    code: 'connect_failed',
    message: /Upstream fake could not be reached/,
  })
  for (const n of [0, 1]) assert.equal((await sidecar.callLine(n))['error'], 'connect_failed')
  assert.equal(sidecar.log().split('"msg":"call"').length - 1, 2)
})

test('langchain: the client that has waited long enough gets its own timeout, and no attempt is left at the upstream', async (t) => {
  const behind = await behindSidecar(t, stall())
  await assert.rejects(model({ timeout: 200, maxRetries: 0 }).invoke('Good morning'), { name: 'TimeoutError' })
  await gone(behind)
  assert.equal(attempts(behind), 1)
})

eachCut('langchain: a stream that breaks off is an error, not a short answer', async (t, cut) => {
  const behind = await behindSidecar(t, [cutting(cut, cutAfter(...spoken('one two')))])
  const reading = async (): Promise<void> => {
    for await (const _chunk of await model({ maxRetries: 0 }).stream('Good morning'));
  }
  await assert.rejects(reading(), /reply_cut/)
  assert.equal(attempts(behind), 1)
})

for (const how of ['break', 'abort'] as const) {
  test(`langchain: a stream that the app leaves (${how}) ends at the upstream before the app does anything else`, async (t) => {
    const behind = await behindSidecar(t, stallAfter(...spoken('one two three')))
    const abort = new AbortController()
    let read = 0
    try {
      for await (const _chunk of await model().stream('Good morning', { signal: abort.signal })) {
        read += 1
        if (how === 'break') break
        abort.abort()
      }
    } catch (err) {
      assert.match(String(err), /abort/i)
    }
    await gone(behind)
    assert.ok(read > 0)
    assert.equal((await behind.sidecar.callLine(0))['error'], 'client_gone')
  })
}
