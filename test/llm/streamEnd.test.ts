import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Operation } from '../../sidecar/proxy/llm/operation.ts'
import { lastBytes, lastNumber, streamEnd } from '../../sidecar/proxy/llm/streamEnd.ts'
import { anyText, chatText } from '../fixtures/streams.ts'

const delta = 'data: {"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}\n\n'
const finish = 'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
const usage = 'data: {"choices":[],"usage":{"total_tokens":3}}\n\n'
const done = 'data: [DONE]\n\n'

test('chat and completions need [DONE], which a finish_reason can stand for', () => {
  for (const operation of ['chat', 'completions'] as const) {
    for (const framed of [true, false]) {
      assert.equal(streamEnd(operation, delta + done, framed), 'whole')
      assert.equal(streamEnd(operation, delta + finish, framed), 'missing_done')
      assert.equal(streamEnd(operation, finish + usage, framed), 'missing_done')
      assert.equal(streamEnd(operation, delta, framed), 'cut')
      assert.equal(streamEnd(operation, `${delta}: bye\n\n`, framed), 'cut')
      assert.equal(streamEnd(operation, '', framed), 'cut')
    }
  }
  assert.equal(streamEnd('chat', finish + delta, true), 'cut', 'another choice goes on')
  const quoted = `data: ${JSON.stringify({ choices: [{ delta: { content: '"finish_reason":"stop"' }, finish_reason: null }] })}\n\n`
  assert.equal(streamEnd('chat', quoted, true), 'cut', 'a text that speaks of finish_reason is no end')
  assert.equal(streamEnd('chat', `data: {"choices":[{"finish_reason":""}]}\n\n`, true), 'cut')
})

test('responses and messages have markers of their own, and nothing else ends them', () => {
  for (const type of ['completed', 'incomplete', 'failed']) {
    assert.equal(streamEnd('responses', `event: response.${type}\ndata: {"type":"response.${type}"}\n\n`, false), 'whole')
    assert.equal(streamEnd('responses', `data: {"type":"response.${type}","response":{}}\n\n`, false), 'whole')
  }
  assert.equal(streamEnd('responses', 'event: response.output_text.done\ndata: {}\n\n', true), 'cut')
  assert.equal(streamEnd('messages', 'event: message_stop\ndata: {"type":"message_stop"}\n\n', false), 'whole')
  assert.equal(streamEnd('messages', 'event: message_delta\ndata: {"delta":{"stop_reason":"end_turn"}}\n\n', true), 'cut')
})

test('an error event of the upstream is an end, in each of its shapes', () => {
  for (const operation of ['chat', 'responses', 'messages', 'other'] as const) {
    for (const event of [
      'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"no"}}\n\n',
      'data: {"error":{"message":"no"}}\n\n',
      'data: {"id":"x","error":{"code":502},"choices":[{"finish_reason":"error"}]}\n\n',
      'data: {"type":"error","code":"server_error","message":"no"}\n\n',
      'data: {"error":"no"}\n\n',
      'data: {"object":"error","message":"no"}\n\n',
    ])
      assert.equal(streamEnd(operation, delta + event, false), 'whole', event)
    assert.equal(streamEnd(operation, 'data: {"id":"x","error":null,"choices":[]}\n\n', false), 'cut')
  }
})

test('the streams of other endpoints are believed when their transfer had an end mark', () => {
  assert.equal(streamEnd('other', 'data: {"a":1}\n\n', true), 'whole')
  assert.equal(streamEnd('other', 'data: {"a":1}\n\n', false), 'cut')
  assert.equal(streamEnd('other', 'data: {"type":"transcript.text.done"}\n\n', false), 'whole')
  assert.equal(streamEnd('other', '', true), 'cut')
})

test('no text makes streamEnd or lastBytes throw', () => {
  const operations: Operation[] = ['chat', 'completions', 'responses', 'messages', 'embeddings', 'models', 'other']
  fc.assert(
    fc.property(
      fc.constantFrom(...operations),
      fc.oneof(anyText, fc.string()),
      fc.string(),
      fc.boolean(),
      (operation, tail, left, framed) => {
        assert.match(streamEnd(operation, tail, framed), /^(?:whole|missing_done|cut)$/)
        lastBytes({ operation, tail, left: Buffer.from(left), by: framed ? 'framed' : 'broken' })
        assert.ok(lastNumber(tail) >= -1)
      },
    ),
    { numRuns: 2_000 },
  )
})

const said = (operation: Operation, tail: string, left: string, by: 'framed' | 'closed' | 'broken' = 'framed'): string | undefined => {
  const bytes = lastBytes({ operation, tail, left: Buffer.from(left), by })
  return bytes === undefined ? undefined : Buffer.concat(bytes).toString()
}

test('a stream that ends is given what it lacks, and no more', () => {
  assert.equal(said('chat', delta + done, ''), '')
  assert.equal(said('chat', delta + done, ': bye'), ': bye')
  assert.equal(said('chat', delta + finish, ''), done)
  assert.equal(said('chat', delta + finish, 'data: [DONE]'), 'data: [DONE]\n\n')
  assert.equal(said('chat', delta + finish, 'data: [DONE]\n'), 'data: [DONE]\n\n\n')
  assert.equal(said('chat', delta, finish.trimEnd()), finish + done)
  assert.equal(said('chat', delta, finish.slice(0, -6)), undefined, 'an event that is cut ends nothing')
  assert.equal(said('chat', delta + finish, 'data: [DO'), done)
  assert.equal(said('chat', delta + finish, 'd'), done, 'what is no event yet does not spoil the marker')
  assert.equal(said('chat', delta + finish, 'data: {"choices":[],"us'), done)
  assert.equal(said('responses', delta, 'event: response.completed\ndata: {"type":"response.completed","resp'), undefined)
  assert.equal(said('other', delta, 'data: {"a'), 'data: {"a')
})

test('a transfer that broke is whole only with its marker, or with the finish reason of the only answer', () => {
  assert.equal(said('chat', delta + done, '', 'broken'), '')
  assert.equal(said('chat', delta, 'data: [DONE]', 'broken'), 'data: [DONE]\n\n')
  assert.equal(said('chat', delta + finish, '', 'broken'), undefined, 'others may have been to come')
  assert.equal(
    Buffer.concat(lastBytes({ operation: 'chat', tail: delta + finish, left: Buffer.of(), by: 'broken', single: true }) ?? []).toString(),
    done,
  )
  assert.equal(lastBytes({ operation: 'chat', tail: delta, left: Buffer.of(), by: 'broken', single: true }), undefined)
  assert.equal(said('messages', 'event: message_stop\ndata: {}\n\n', '', 'broken'), '')
  assert.equal(said('other', delta, '', 'broken'), undefined)
})

test('the number of the last event is found only where events have one', () => {
  assert.equal(lastNumber('data: {"sequence_number":3}\n\ndata: {"a":"\\"sequence_number\\":9","sequence_number":4}\n\n'), 4)
  assert.equal(lastNumber(chatText(['a']).join('')), -1)
  assert.equal(lastNumber(''), -1)
  assert.equal(lastNumber('data: nonsense\n\n'), -1)
})
