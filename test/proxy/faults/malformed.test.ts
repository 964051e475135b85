import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fails, good, healthOf, isGood, triedOf } from '../../fixtures/failing.ts'
import { answers, sseBytes } from '../../fixtures/provider.ts'
import { ask, askedOf, startUpstreams } from '../../fixtures/startUpstreams.ts'

const lie = { outcome: 'bad_reply', says: 'status 200, but no answer', attempts: 1, status: 200, passes: true } as const

fails('JSON that breaks off in a body that is whole', { step: answers(200, '{"choices":[{"message":{"content":"ha'), ...lie })
fails('JSON that breaks off in front of white space', { step: answers(200, '  {"choices":[{"text":"a"},\n\n'), ...lie })
fails('an error in the clothes of an answer', {
  step: answers(200, { error: { message: 'Provider returned error', code: 502 } }),
  ...lie,
})

test('an answer of an odd form that is whole is passed on as it is', async (t) => {
  for (const whole of ['\n\n [ {"a":1} ] \n', '{}', ' {"error":null,"choices":[]}']) {
    const { sidecar, providers } = await startUpstreams(t, [answers(200, whole, { 'content-type': 'text/plain' }), []])
    assert.equal((await ask(sidecar)).text, whole)
    assert.deepEqual(askedOf(providers), [1, 0])
  }
})

test('an answer in a coding is not judged by its bytes', async (t) => {
  const coded = Buffer.from([0x1f, 0x8b, 0x08, 0x00])
  const { sidecar, providers } = await startUpstreams(t, [answers(200, coded, { 'content-encoding': 'x-own' }), []])
  const reply = await fetch(`${sidecar.url}/chat/completions`, {
    method: 'POST',
    body: '{"model":"m"}',
    headers: { 'content-type': 'application/json' },
  })
  assert.deepEqual(Buffer.from(await reply.arrayBuffer()), coded)
  assert.deepEqual(askedOf(providers), [1, 0])
})

test('a chunk of a stream that is no JSON passes as it came, and harms nobody', async (t) => {
  const chunks = ['data: {"choices":[{"delta":{"content":"a"}}]}\n\n', 'data: {"choices":[{"del\n\n', 'data: \u0000\n\n', 'nonsense\n\n']
  const end = 'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
  const { sidecar, providers } = await startUpstreams(t, [[sseBytes(...chunks, end), good], []])
  assert.equal((await ask(sidecar, { stream: true })).text, chunks.join('') + end)
  isGood(await ask(sidecar))
  assert.deepEqual(askedOf(providers), [2, 0])
  assert.deepEqual(await triedOf(sidecar), [['a', 200]])
  assert.equal((await healthOf(sidecar))[0]?.failures_in_a_row, 0)
})

test('a stream that begins with a chunk that is no JSON is a stream', async (t) => {
  const text = 'data: {"broken\n\ndata: {"choices":[{"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
  const { sidecar, providers } = await startUpstreams(t, [sseBytes(text), []])
  assert.equal((await ask(sidecar, { stream: true })).text, text)
  assert.deepEqual(askedOf(providers), [1, 0])
})
