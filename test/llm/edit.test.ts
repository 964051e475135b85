import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { editBody, type BodyEdits } from '../../sidecar/proxy/llm/edit.ts'

const edited = (text: string, edits: BodyEdits): string | undefined => editBody(Buffer.from(text), edits)?.toString()

test('the model is replaced, and not another byte', () => {
  assert.equal(
    edited('{ "messages" : [{"model":"x"}],\n "model"  :  "old" , "n":1.0e0}', { model: 'new/"é' }),
    '{ "messages" : [{"model":"x"}],\n "model"  :  "new/\\"é" , "n":1.0e0}',
  )
})

test('a model that comes twice is replaced twice, and one spelt with escapes as well', () => {
  assert.equal(edited('{"model":"a","mod\\u0065l":"b"}', { model: 'c' }), '{"model":"c","mod\\u0065l":"c"}')
})

test('where the client names no model, it is named', () => {
  assert.equal(edited('{}', { model: 'm' }), '{"model":"m"}')
  assert.equal(edited(' {"a":1}', { model: 'm' }), ' {"model":"m","a":1}')
  assert.equal(edited('{"model":null}', { model: 'm' }), '{"model":"m"}')
})

test('a body in which nothing changes is the same one', () => {
  const body = Buffer.from('{"model":"m","temperature":0}')
  assert.equal(editBody(body, { model: 'm', defaults: [{ names: ['temperature'], value: 1 }] }), body)
  assert.equal(editBody(body, {}), body)
})

const limit = { names: ['max_completion_tokens', 'max_tokens'], value: 100 }

test('a default is said where the client says nothing of it, under any name', () => {
  assert.equal(edited('{"model":"m"}', { defaults: [limit] }), '{"max_completion_tokens":100,"model":"m"}')
  assert.equal(edited('{"max_tokens":5}', { defaults: [limit] }), '{"max_tokens":5}')
  assert.equal(
    edited('{"messages":[{"max_tokens":5}]}', { defaults: [limit] }),
    '{"max_completion_tokens":100,"messages":[{"max_tokens":5}]}',
  )
  assert.equal(
    edited('{"a":1}', { model: 'm', defaults: [limit, { names: ['temperature'], value: 0.2 }] }),
    '{"model":"m","max_completion_tokens":100,"temperature":0.2,"a":1}',
  )
})

test('null is nothing said', () => {
  assert.equal(edited('{"max_completion_tokens":null}', { defaults: [limit] }), '{"max_completion_tokens":100}')
  assert.equal(edited('{"max_tokens":null}', { defaults: [limit] }), '{"max_completion_tokens":100,"max_tokens":null}')
  assert.equal(
    edited('{"max_completion_tokens":null,"max_tokens":5}', { defaults: [limit] }),
    '{"max_completion_tokens":null,"max_tokens":5}',
  )
})

test('what is no whole JSON object is not edited', () => {
  for (const text of ['', '[]', '"model"', '{"model":"a"', '{"model"}', '{"model":"a" "b"}', 'model=a']) {
    assert.equal(edited(text, { model: 'm' }), undefined, text)
  }
})

test('whatever the object, it says the same as before but for the edits', () => {
  const name = fc.oneof(
    fc.constantFrom('model', 'max_tokens', 'max_completion_tokens', 'temperature', 'messages', '__proto__'),
    fc.string(),
  )
  fc.assert(
    fc.property(fc.dictionary(name, fc.jsonValue()), fc.string(), fc.boolean(), (value, model, indented) => {
      const text = JSON.stringify(value, undefined, indented ? 2 : undefined)
      const expected: Record<string, unknown> = { ...(JSON.parse(text) as Record<string, unknown>), model }
      if ((expected['max_completion_tokens'] ?? expected['max_tokens'] ?? null) === null) expected['max_completion_tokens'] = 100
      assert.deepEqual(JSON.parse(edited(text, { model, defaults: [limit] }) ?? 'null'), expected)
    }),
    { numRuns: 5_000 },
  )
})

test('no garbage makes an edit throw', () => {
  const pieces = fc.array(fc.constantFrom('{', '}', '"', '\\', ':', ',', '"model"', 'null', ' ', '"a"'), { maxLength: 30 })
  fc.assert(
    fc.property(
      pieces.map((all) => all.join('')),
      (text) => {
        const after = edited(text, { model: 'm', defaults: [limit] })
        assert.ok(after === undefined || after.startsWith(text.trimStart().slice(0, 1)) || /^\s/.test(text))
      },
    ),
    { numRuns: 5_000 },
  )
})
