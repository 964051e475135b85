import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { closingQuote, scanBody, stringEnd } from '../../sidecar/proxy/llm/body.ts'
import { processorMs } from '../fixtures/processorMs.ts'

/** What JSON.parse says of the same text; of a name that comes twice the scan takes the first. */
function byParsing(text: string): { model: string; stream: boolean } {
  const value = JSON.parse(text) as Record<string, unknown>
  return { model: typeof value['model'] === 'string' ? value['model'] : '', stream: value['stream'] === true }
}

const space = fc.array(fc.constantFrom(' ', '\n', '\r', '\t'), { maxLength: 3 }).map((all) => all.join(''))
const name = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom('model', 'stream', 'messages', 'modelx', 'stre', '"model"', 'a\\') },
  fc.string({ maxLength: 8 }),
)
const inner: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom(true, false, null, 'gpt', 'a"b', '\\', '\\"', '{"model":"no"}', 'é😀', '"stream":true', 1.5e3, -0),
  fc.jsonValue({ maxDepth: 3 }),
  fc.dictionary(fc.constantFrom('model', 'stream', 'x'), fc.constantFrom('nested', true), { maxKeys: 3 }),
)

/** JSON with white space wherever it may stand. */
const spaced = (value: unknown, gap: string): string => {
  if (Array.isArray(value)) return `[${gap}${value.map((one) => spaced(one, gap)).join(`${gap},${gap}`)}${gap}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const parts = Object.entries(value).map(([key, one]) => `${JSON.stringify(key)}${gap}:${gap}${spaced(one, gap)}`)
  return `{${gap}${parts.join(`${gap},${gap}`)}${gap}}`
}

test('model and stream are found as JSON.parse finds them, at the top level only', () => {
  fc.assert(
    fc.property(fc.dictionary(name, inner, { maxKeys: 6 }), space, (value, gap) => {
      const text = `${gap}${spaced(value, gap)}${gap}`
      assert.deepEqual(scanBody(Buffer.from(text)), byParsing(text), text)
    }),
    { numRuns: 5_000 },
  )
})

test('a name spelt with escapes is the same name', () => {
  const escaped = (text: string): string =>
    text
      .split('')
      .map((one) => `\\u00${one.charCodeAt(0).toString(16)}`)
      .join('')
  assert.deepEqual(scanBody(Buffer.from(`{"${escaped('model')}":"m","${escaped('stream')}":true}`)), { model: 'm', stream: true })
  assert.deepEqual(scanBody(Buffer.from(`{"model":"m","strea\\u006d" : true}`)), { model: 'm', stream: true })
})

test('a name that comes twice hides no other', () => {
  assert.deepEqual(scanBody(Buffer.from('{"model":"a","model":"b","model":"c","stream":true}')).stream, true)
  assert.deepEqual(scanBody(Buffer.from('{"stream":true,"stream":true,"stream":true,"model":"a"}')).model, 'a')
})

test('no garbage makes the scan throw or hang', () => {
  const pieces = fc.constantFrom(
    '{',
    '}',
    '[',
    ']',
    '"',
    '\\',
    ':',
    ',',
    'model',
    'stream',
    '"model"',
    '"stream":true',
    ' ',
    '0',
    'true',
    '\u0000',
  )
  fc.assert(
    fc.property(
      fc.oneof(
        fc.array(pieces, { maxLength: 30 }).map((all) => Buffer.from(all.join(''))),
        fc.uint8Array({ maxLength: 64 }).map(Buffer.from),
      ),
      (bytes) => {
        const { model, stream } = scanBody(bytes)
        assert.equal(typeof model, 'string')
        assert.equal(typeof stream, 'boolean')
      },
    ),
    { numRuns: 5_000 },
  )
})

test('a string ends at its first quote that is not escaped, however long it is, and not beyond what may be looked at', () => {
  const text = fc.array(fc.constantFrom('a', 'b'.repeat(15), 'c'.repeat(31), '\\\\', '\\"', '\\n', '€'), { maxLength: 12 })
  fc.assert(
    fc.property(text, fc.constantFrom('', '"', '"x"', '"\\'), fc.nat(40), (parts, rest, less) => {
      const inside = Buffer.byteLength(parts.join(''))
      const bytes = Buffer.from(`{"${parts.join('')}${rest}`)
      const end = rest === '' ? -1 : 2 + inside
      assert.equal(closingQuote(bytes, 2, bytes.length), end)
      assert.equal(stringEnd(bytes, 1), end < 0 ? bytes.length : end + 1)
      const far = bytes.length - less
      assert.equal(closingQuote(bytes, 2, far), end < far ? end : -1)
    }),
    { numRuns: 5_000 },
  )
})

test('a long body of backslashes and quotes is scanned in linear time', () => {
  const body = Buffer.from(`{"a":"${'\\"'.repeat(500_000)}","b":"${'\\\\'.repeat(500_000)}","stream":true}`)
  const took = processorMs(() => {
    scanBody(body)
  })
  assert.ok(took < 2_000, `${took} ms`)
})
