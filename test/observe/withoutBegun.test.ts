import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { withoutBegun } from '../../sidecar/observe/withoutBegun.ts'

const key = 'Zq7-plain-looking-key'

test('wherever a text breaks off inside of a key, no four letters of that key are left at its end', () => {
  for (let length = 4; length < key.length; length++) {
    const left = withoutBegun(`{"echo":"${key.slice(0, length)}`, ['other-key', key])
    assert.equal(left, '{"echo":"[redacted]')
  }
  assert.equal(withoutBegun('{"echo":"Zq7', [key]), '{"echo":"Zq7')
})

test('a text that ends otherwise stays as it is', () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      assert.equal(withoutBegun(`${text}}`, [key, '']), `${text}}`)
    }),
  )
})
