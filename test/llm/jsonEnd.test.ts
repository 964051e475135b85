import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { jsonEnd } from '../../sidecar/proxy/llm/jsonEnd.ts'
import { splitText } from '../fixtures/streams.ts'

const documents = fc
  .oneof(
    fc.dictionary(fc.string({ maxLength: 4 }), fc.jsonValue({ maxDepth: 3 }), { maxKeys: 4 }),
    fc.array(fc.jsonValue({ maxDepth: 3 }), { maxLength: 4 }),
  )
  .chain((value) => fc.constantFrom(JSON.stringify(value), JSON.stringify(value, null, 2)))

test('an object or array is closed when it is whole, however it is cut, and never before', () => {
  fc.assert(
    fc.property(splitText(documents), ({ bytes, parts }) => {
      const end = jsonEnd()
      for (const part of parts) end.feed(part)
      assert.equal(end.closed(), true)
      const before = jsonEnd()
      for (const byte of bytes) {
        assert.equal(before.closed(), false)
        before.feed(Buffer.from([byte]))
      }
    }),
    { numRuns: 2_000 },
  )
})

test('space around it changes nothing, anything else behind it does', () => {
  const closed = (text: string): boolean => {
    const end = jsonEnd()
    end.feed(Buffer.from(text))
    return end.closed()
  }
  assert.equal(closed('\n\n {"a":"}"} \r\n'), true)
  assert.equal(closed('{"a":1}{"b"'), false)
  assert.equal(closed('{"a":1} x'), false)
  assert.equal(closed('[}'), false)
  assert.equal(closed('{"a":[1}]'), false)
  assert.equal(closed(''), false)
  assert.equal(closed('   '), false)
  assert.equal(closed('12'), false)
})
