import assert from 'node:assert/strict'
import { test } from 'node:test'
import { healthOf, triedOf } from '../../fixtures/failing.ts'
import { sseBytes } from '../../fixtures/provider.ts'
import { ask, askedOf, startUpstreams } from '../../fixtures/startUpstreams.ts'
import { chatText, doneText } from '../../fixtures/streams.ts'
import { unresumed } from '../../fixtures/unresumed.ts'

test('a stream that has said why it ended is whole without [DONE], gets one, and counts as good', async (t) => {
  const events = chatText(['a', 'b'])
  const { sidecar, providers } = await startUpstreams(t, [sseBytes(...events), []], unresumed)
  assert.equal((await ask(sidecar, { stream: true })).text, events.join('') + doneText)
  assert.deepEqual(askedOf(providers), [1, 0])
  const { end, error } = await sidecar.callLine(0)
  assert.deepEqual([end, error], ['complete', undefined])
  assert.equal((await healthOf(sidecar))[0]?.failures_in_a_row, 0)
})

test('one that has not is broken off, ends with an error, and counts as failed', async (t) => {
  const events = chatText(['a', 'b'], false)
  const { sidecar, providers } = await startUpstreams(t, [sseBytes(...events), []], unresumed)
  const { text } = await ask(sidecar, { stream: true })
  assert.ok(text.startsWith(`${events.join('')}event: error\ndata: `), text)
  assert.doesNotMatch(text, /\[DONE\]/)
  assert.deepEqual(askedOf(providers), [1, 0])
  assert.deepEqual(await triedOf(sidecar), [['a', 200]])
  assert.equal((await sidecar.callLine(0))['error'], 'reply_cut')
  assert.equal((await healthOf(sidecar))[0]?.failures_in_a_row, 1)
})

test('nothing but [DONE] is an answer: an empty one', async (t) => {
  const { sidecar, providers } = await startUpstreams(t, [sseBytes(doneText), []], unresumed)
  assert.equal((await ask(sidecar, { stream: true })).text, doneText)
  assert.deepEqual(askedOf(providers), [1, 0])
})
