import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Operation } from '../../sidecar/proxy/llm/operation.ts'
import { usageOf as usageOfBytes, type Usage } from '../../sidecar/proxy/llm/usage.ts'
import { processorMs } from '../fixtures/processorMs.ts'

const usageOf = (operation: Operation, first: string, last: string): Usage | undefined =>
  usageOfBytes(operation, Buffer.from(first), Buffer.from(last))

const none = { model: '', input: -1, output: -1, cached: -1, reasoning: -1 }
const of = (operation: Operation, ...ends: object[]): Usage | undefined => {
  const [first = {}, last = first] = ends
  return usageOf(operation, JSON.stringify(first), JSON.stringify(last))
}

test('chat tells input, output, and what of them was cached or thought', () => {
  const usage = {
    prompt_tokens: 20,
    completion_tokens: 30,
    total_tokens: 50,
    prompt_tokens_details: { cached_tokens: 16 },
    completion_tokens_details: { reasoning_tokens: 24 },
  }
  assert.deepEqual(of('chat', { model: 'm-1', usage }), { model: 'm-1', input: 20, output: 30, cached: 16, reasoning: 24 })
})

test('a stream of chat tells it in its last event, and may say null before', () => {
  const first = 'data: {"id":"x","model":"m-1","choices":[{"delta":{}}],"usage":null}\n\n'
  const last = `${first}data: {"model":"m-1","choices":[],"usage":{"prompt_tokens":2,"completion_tokens":3}}\n\ndata: [DONE]\n\n`
  assert.deepEqual(usageOf('chat', first, last), { ...none, model: 'm-1', input: 2, output: 3 })
  assert.deepEqual(usageOf('chat', first, first), { ...none, model: 'm-1' })
})

test('responses tell it inside of the response, in front of what a client wrote there itself', () => {
  const usage = {
    input_tokens: 5,
    output_tokens: 7,
    input_tokens_details: { cached_tokens: 1 },
    output_tokens_details: { reasoning_tokens: 2 },
  }
  const response = { id: 'r', model: 'm-1', output: [], usage, metadata: { usage: 'mine' } }
  const expected = { model: 'm-1', input: 5, output: 7, cached: 1, reasoning: 2 }
  assert.deepEqual(of('responses', response), expected)
  assert.deepEqual(of('responses', {}, { type: 'response.completed', response }), expected)
})

test('embeddings tell their input alone', () => {
  assert.deepEqual(of('embeddings', { model: 'e', usage: { prompt_tokens: 8, total_tokens: 8 } }), { ...none, model: 'e', input: 8 })
})

test('what a cache gave or took counts as input of messages too, as it does everywhere else', () => {
  const usage = { input_tokens: 3, cache_creation_input_tokens: 10, cache_read_input_tokens: 100, output_tokens: 1 }
  assert.deepEqual(of('messages', { model: 'c', usage }), { ...none, model: 'c', input: 113, output: 1, cached: 100 })
  const chat = { prompt_tokens: 113, cache_read_input_tokens: 100, completion_tokens: 1 }
  assert.deepEqual(of('chat', { usage: chat }), { ...none, input: 113, output: 1, cached: 100 })
})

test('a stream of messages tells the input at its beginning and the output, summed up, at its end', () => {
  const start = { type: 'message_start', message: { model: 'c', usage: { input_tokens: 3, cache_read_input_tokens: 4, output_tokens: 1 } } }
  const older = { type: 'message_delta', delta: {}, usage: { output_tokens: 90 } }
  assert.deepEqual(of('messages', start, older), { ...none, model: 'c', input: 7, output: 90, cached: 4 })
  const newer = { type: 'message_delta', usage: { input_tokens: 3, cache_read_input_tokens: 4, output_tokens: 91 } }
  assert.deepEqual(of('messages', start, newer), { ...none, model: 'c', input: 7, output: 91, cached: 4 })
})

test('the words of a model cannot pass for its usage', () => {
  const content = '"model":"forged","usage":{"prompt_tokens":999999,"completion_tokens":999999}'
  const answer = { model: 'm', choices: [{ message: { content } }], usage: { prompt_tokens: 1, completion_tokens: 2 } }
  assert.deepEqual(of('chat', answer), { ...none, model: 'm', input: 1, output: 2 })
  assert.deepEqual(of('chat', { choices: [{ message: { content } }] }), undefined)
})

test('whatever is in the text, the scanner comes back, with whole numbers or none', () => {
  const piece = fc.oneof(
    fc.constantFrom('"usage"', ':', '{', '}', '"prompt_tokens"', '"model"', '"', '\\', ',', '[', '1', '-1', '1e99', 'null', ' ', 'data: '),
    fc.string({ unit: 'binary' }),
  )
  const text = fc.array(piece, { maxLength: 60 }).map((pieces) => pieces.join(''))
  fc.assert(
    fc.property(fc.constantFrom<Operation>('chat', 'messages', 'responses'), text, text, (operation, first, last) => {
      const usage = usageOf(operation, first, last)
      if (usage === undefined) return
      for (const count of [usage.input, usage.output, usage.cached, usage.reasoning]) assert.ok(Number.isSafeInteger(count) && count >= -1)
    }),
    { numRuns: 2_000 },
  )
})

test('in any JSON answer, the usage that is found is the one that parsing finds', () => {
  const tokens = fc.record({ prompt_tokens: fc.nat(), completion_tokens: fc.nat() })
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.string(), tokens, fc.nat(3), (content, model, usage, indent) => {
      const answer = { id: content, model: `m${model}`, choices: [{ message: { content, extra: content } }], usage, also: content }
      const text = JSON.stringify(answer, undefined, indent)
      const found = usageOf('chat', text, text)
      const short = answer.model.length <= 60
      assert.deepEqual([found?.input, found?.output], [usage.prompt_tokens, usage.completion_tokens])
      if (short) assert.equal(found?.model, answer.model)
    }),
  )
})

test('a text made of nothing but beginnings is given up on soon', () => {
  const text = '"usage":{'.repeat(200_000)
  const took = processorMs(() => {
    assert.equal(usageOf('chat', text, text), undefined)
  })
  assert.ok(took < 1_000, `${took} ms`)
})
