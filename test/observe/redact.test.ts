import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { openLog } from '../../sidecar/observe/log.ts'
import { redacted } from '../../sidecar/observe/redact.ts'

const keys = [
  'sk-proj-abc123DEF456',
  'sk-ant-api03-xyz_789',
  'gsk_abcdefghij',
  'xai-abcdefghij',
  'hf_abcdefghij',
  'AIzaSyA1234567890abcdefghij',
  'AKIAIOSFODNN7EXAMPLE',
  'ghp_abcdefghijklmnop',
  'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl',
]

test('whatever looks like a key is taken out, and the text around it stays', () => {
  for (const key of keys) assert.equal(redacted(`before ${key} after`), 'before [redacted] after')
  assert.equal(redacted('Authorization: Bearer abcdef.123-456'), 'Authorization: Bearer [redacted]')
  assert.equal(redacted('{"authorization":"opaque123"}'), '{"authorization":"[redacted]"}')
  assert.equal(redacted('{"api_key": "opaque", "x-api-key":"opaque"}'), '{"api_key": "[redacted]", "x-api-key":"[redacted]"}')
  assert.equal(redacted('{\\"client_secret\\":\\"opaque\\"}'), '{\\"client_secret\\":\\"[redacted]\\"}')
  assert.equal(redacted('via http://me:word@proxy:3128/'), 'via http://[redacted]@proxy:3128/')
  assert.equal(redacted('the word is Opaque', ['Opaque']), 'the word is [redacted]')
})

test('ordinary words stay as they are', () => {
  for (const text of [
    'task-force one',
    'the key of the door',
    'listening on 127.0.0.1:8080',
    'no credential "x" configured',
    'skate-boarding',
  ])
    assert.equal(redacted(text), text)
})

test('a line stays JSON, whatever is in it', () => {
  const nasty = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom(...keys, 'authorization: ', '"password":', 'Bearer ', '\\', '"', '\\"', 'http://a:b@c', 'secret=', 'token abcdefgh'),
  )
  fc.assert(
    fc.property(fc.array(nasty, { maxLength: 12 }), fc.dictionary(fc.string(), nasty, { maxKeys: 4 }), (words, fields) => {
      const line = JSON.stringify({ msg: words.join(''), fields })
      assert.doesNotThrow(() => {
        JSON.parse(redacted(line))
      })
    }),
    { numRuns: 1_000 },
  )
})

test('no key comes out of the log: not out of a message, a field, an error, its stack or its cause', () => {
  let text = ''
  const { logger } = openLog('info', (lines) => {
    text += lines
  })
  for (const key of keys) {
    logger.info(`refused ${key}`)
    logger.warn(
      { headers: { authorization: `Bearer ${key}`, 'x-api-key': 'opaque-value' }, deep: [{ er: { apiKey: 'opaque-value' } }] },
      'fields',
    )
    logger.error({ err: new Error(`with ${key}`, { cause: new Error(`because of ${key}`) }) }, 'an error')
  }
  for (const key of [...keys, 'opaque-value']) assert.equal(text.includes(key), false, key)
  for (const line of text.trim().split('\n')) assert.doesNotThrow(() => void JSON.parse(line))
})
