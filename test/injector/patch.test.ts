import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { patchOf } from '../../sidecar/injector/patch.ts'
import { applied } from './applied.ts'

test('a patch leads from any document to any other', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.jsonValue(), (before, after) => {
      // What the API server gets has been through JSON, which knows no minus zero.
      const [from, to] = [structure(before), structure(after)]
      assert.deepEqual(applied(from, patchOf(from, to)), to)
    }),
  )
})

const part = fc.record(
  {
    name: fc.constantFrom('a', 'b', 'c', 'd', 'e'),
    image: fc.constantFrom('x', 'y'),
    'a/b~c': fc.boolean(),
    env: fc.array(fc.constantFrom(1, 2, 3)),
  },
  { requiredKeys: ['name'], noNullPrototype: true },
)

test('a patch leads from any list of named parts to any other', () => {
  fc.assert(
    fc.property(fc.array(part, { maxLength: 8 }), fc.array(part, { maxLength: 8 }), (before, after) => {
      assert.deepEqual(applied({ list: before }, patchOf({ list: before }, { list: after })), { list: after })
    }),
  )
})

test('nothing that is the same in both is named', () => {
  fc.assert(fc.property(fc.jsonValue(), (value) => assert.deepEqual(patchOf(value, structure(value)), [])))
})

test('a part put in front of others is one operation', () => {
  const before = {
    list: [
      { name: 'a', n: 1 },
      { name: 'b', n: 2 },
    ],
  }
  const after = { list: [{ name: 'new', n: 0 }, ...before.list.map((one) => structure(one))] }
  assert.deepEqual(patchOf(before, after), [{ op: 'add', path: '/list/0', value: { name: 'new', n: 0 } }])
})

test('a change deep inside names that place alone', () => {
  const before = { a: [{ name: 'x', 'y/z': { q: 1, r: 2 } }] }
  const after = { a: [{ name: 'x', 'y/z': { q: 1, r: 3 } }] }
  assert.deepEqual(patchOf(before, after), [{ op: 'replace', path: '/a/0/y~1z/r', value: 3 }])
})

const structure = (value: unknown): unknown => JSON.parse(JSON.stringify(value))
