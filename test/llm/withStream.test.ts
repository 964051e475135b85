import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { withStream } from '../../sidecar/proxy/llm/body.ts'

const edited = (text: string): string | undefined => withStream(Buffer.from(text))?.toString()

test('only the value of the top-level stream changes', () => {
  const cases: readonly (readonly [string, string | undefined])[] = [
    ['{}', '{"stream":true}'],
    ['{ }', '{"stream":true }'],
    ['{"a":1}', '{"stream":true,"a":1}'],
    [' \n{"a":{"stream":false}}', ' \n{"stream":true,"a":{"stream":false}}'],
    ['{"stream":false,"a":1}', '{"stream":true,"a":1}'],
    ['{"a":1, "stream" : null }', '{"a":1, "stream" : true }'],
    ['{"stream":"false"}', '{"stream":true}'],
    ['{"stream":false,"stream":true}', '{"stream":true,"stream":true}'],
    ['{"\\u0073tream":false}', '{"\\u0073tream":true}'],
    ['{"a":"\\"stream\\":false"}', '{"stream":true,"a":"\\"stream\\":false"}'],
    ['', undefined],
    ['[]', undefined],
    ['{"a"}', undefined],
    ['{"a":}', undefined],
    ['{"a":1', undefined],
    ['{"a":1,}', undefined],
    ['{"a":"b', undefined],
    ['null', undefined],
  ]
  for (const [before, after] of cases) assert.equal(edited(before), after, before)
})

test('a body that streams already is not copied', () => {
  const body = Buffer.from('{"a":[1,2],"stream": true}')
  assert.equal(withStream(body), body)
})

test('whatever the object, it means the same afterwards but for its stream', () => {
  const anObject = fc.dictionary(fc.string(), fc.jsonValue())
  fc.assert(
    fc.property(anObject, fc.option(fc.jsonValue()), fc.nat(3), (object, stream, spaces) => {
      const given = stream === null ? object : { ...object, stream }
      const text = JSON.stringify(given, null, spaces)
      assert.deepEqual(JSON.parse(edited(text) ?? ''), { ...(JSON.parse(text) as object), stream: true })
    }),
  )
})
