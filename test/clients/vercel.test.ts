import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createOpenAI } from '@ai-sdk/openai'
import { APICallError, embedMany, generateText, Output, RetryError, streamText, tool, transcribe } from 'ai'
import { z } from 'zod'
import { chat, cutAfter, cutting, deadUpstream, eachCut, paced, stall, stallAfter } from '../fixtures/provider.ts'
import { atOnce, attempts, behindDeadUpstream, behindSidecar, demo, failing, gone, keyWasChanged, spoken, times } from './behindSidecar.ts'

/** As an app makes it: everything it is told stands in its environment. */
const asked = () => ({ model: createOpenAI().chat('gpt-4o-mini'), prompt: 'Good morning' })

test('vercel: a chat, responses, embeddings and a transcription are answered with a key that the app does not have', async (t) => {
  const behind = await behindSidecar(t)
  const openai = createOpenAI()
  const { text, usage } = await generateText(asked())
  assert.match(text, /^You said: “Good morning”/)
  assert.ok((usage.outputTokens ?? 0) > 20)
  assert.match((await generateText({ model: openai('gpt-5-mini'), prompt: 'Good morning' })).text, /^You said: “Good morning”/)
  const { embeddings } = await embedMany({ model: openai.embedding('text-embedding-3-small'), values: ['one', 'two', 'one'] })
  assert.deepEqual(embeddings[0], embeddings[2])
  assert.notDeepEqual(embeddings[0], embeddings[1])
  const heard = await transcribe({ model: openai.transcription('whisper-1'), audio: Buffer.alloc(1 << 20, 'v') })
  assert.match(heard.text, /which came in a form of 10\d{5} bytes/)
  keyWasChanged(behind)
})

eachCut('vercel: a stream gives every piece, as chat and as responses', async (t, cut) => {
  await behindSidecar(t, cutting(cut, demo()))
  for (const model of [createOpenAI().chat('gpt-4o-mini'), createOpenAI().responses('gpt-5-mini')]) {
    const pieces: string[] = []
    for await (const piece of streamText({ model, prompt: 'Good morning' }).textStream) pieces.push(piece)
    assert.ok(pieces.length > 10)
    assert.match(pieces.join(''), /^You said: “Good morning”.*clever\.$/)
  }
})

test('vercel: tools and structured answers arrive whole', async (t) => {
  await behindSidecar(t)
  const weather = tool({ inputSchema: z.object({ city: z.string() }), execute: ({ city }) => `sunny in ${city}` })
  const { toolCalls, toolResults } = await generateText({ ...asked(), tools: { weather }, toolChoice: 'required' })
  assert.deepEqual(
    toolCalls.map(({ toolName, input }) => [toolName, input]),
    [['weather', { city: 'demo' }]],
  )
  assert.equal(toolResults[0]?.output, 'sunny in demo')
  const shape = z.object({ name: z.string(), sunny: z.boolean() })
  const { output } = await generateText({ ...asked(), output: Output.object({ schema: shape }) })
  assert.deepEqual(output, { name: 'demo', sunny: true })
})

const errors = [
  { status: 401, reached: 1 },
  { status: 404, reached: 1 },
  { status: 429, reached: 3 },
  { status: 500, reached: 3 },
]
for (const { status, reached } of errors) {
  test(`vercel: ${status} is an APICallError with the provider's own words, after ${reached} attempt(s)`, async (t) => {
    const behind = await behindSidecar(t, times(reached, failing(status, { ...atOnce, 'x-request-id': 'req_theirs' })))
    await assert.rejects(generateText(asked()), (err) => {
      const last = RetryError.isInstance(err) ? err.lastError : err
      assert.equal(RetryError.isInstance(err), reached > 1)
      assert.ok(APICallError.isInstance(last))
      assert.deepEqual(
        [last.statusCode, last.message, last.responseHeaders?.['x-request-id']],
        [status, `scripted ${status}`, 'req_theirs'],
      )
      return true
    })
    assert.equal(attempts(behind), reached)
  })
}

test('vercel: x-should-retry is not looked at: the status alone decides', async (t) => {
  const behind = await behindSidecar(t, [failing(500, { ...atOnce, 'x-should-retry': 'false' }), chat('at last')])
  assert.equal((await generateText(asked())).text, 'at last')
  assert.equal(attempts(behind), 2)
})

test('vercel: a refused connection says whose fault it is, and is repeated as often as the app asked for', async (t) => {
  const sidecar = await behindDeadUpstream(t, await deadUpstream())
  await assert.rejects(generateText({ ...asked(), maxRetries: 0 }), (err) => {
    assert.ok(APICallError.isInstance(err))
    assert.deepEqual([err.statusCode, err.isRetryable, err.responseHeaders?.['x-outrider-error']], [502, true, 'connect_failed'])
    assert.match(err.message, /Upstream fake could not be reached/)
    return true
  })
  assert.equal((await sidecar.callLine(0))['error'], 'connect_failed')
})

test('vercel: the client that has waited long enough gets its own timeout, and no attempt is left at the upstream', async (t) => {
  const behind = await behindSidecar(t, stall())
  await assert.rejects(generateText({ ...asked(), timeout: 200 }), { name: 'TimeoutError' })
  await gone(behind)
  assert.equal(attempts(behind), 1)
})

eachCut('vercel: a stream that breaks off is an error, not a short answer', async (t, cut) => {
  const behind = await behindSidecar(t, [cutting(cut, cutAfter(...spoken('one two')))])
  const failures: string[] = []
  const { stream } = streamText({ ...asked(), onError: () => {} })
  for await (const part of stream) if (part.type === 'error') failures.push(JSON.stringify(part.error))
  assert.match(failures.join(''), /reply_cut/)
  assert.equal(attempts(behind), 1)
})

test('vercel: a stream that the app aborts ends at the upstream before the app does anything else', async (t) => {
  const behind = await behindSidecar(t, stallAfter(...spoken('one two three')))
  const abort = new AbortController()
  const { textStream } = streamText({ ...asked(), abortSignal: abort.signal, onError: () => {} })
  let read = 0
  for await (const _piece of textStream) {
    read += 1
    abort.abort()
  }
  await gone(behind)
  assert.ok(read > 0)
  assert.equal((await behind.sidecar.callLine(0))['error'], 'client_gone')
})

test('vercel: an app that only stops reading has not left: this client reads on, and so the call goes on', async (t) => {
  const stream = paced()
  const behind = await behindSidecar(t, [stream])
  const reading = (async () => {
    for await (const _piece of streamText(asked()).textStream) break
  })()
  for (const chunk of spoken('one two three')) await stream.send(chunk)
  await reading
  await stream.send('[DONE]')
  await stream.end()
  assert.equal(await stream.closed, false)
  assert.equal((await behind.sidecar.callLine(0))['error'], undefined)
})
