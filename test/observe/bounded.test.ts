import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { bounded } from '../../sidecar/observe/bounded.ts'

test('the first names have a record each, and all further ones share one', () => {
  const made: string[] = []
  const of = bounded(2, 'other', (name) => {
    made.push(name)
    return { name }
  })
  assert.equal(of('a').name, 'a')
  assert.equal(of('b').name, 'b')
  assert.equal(of('c').name, 'other')
  assert.equal(of('d'), of('c'))
  assert.equal(of('a').name, 'a')
  assert.deepEqual(made, ['a', 'b', 'other'])
})

test('a name of absurd length takes no place', () => {
  const of = bounded(1, 'other', (name) => name)
  assert.equal(of('x'.repeat(129)), 'other')
  assert.equal(of('a'), 'a')
})

test('a name that is vouched for takes no place, and is taken when there is none', () => {
  const long = 'y'.repeat(129)
  const of = bounded(
    1,
    'other',
    (name) => name,
    (name) => ['v', 'w', long, 'other'].includes(name),
  )
  assert.deepEqual(['v', 'a', 'b', 'w', long, 'other'].map(of), ['v', 'a', 'other', 'w', long, 'other'])
})

test('whatever the names are, no label is made twice and there are never more than the limit and one', () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: 'binary' }), { maxLength: 50 }), fc.integer({ min: 0, max: 20 }), (names, limit) => {
      const made: string[] = []
      const of = bounded(limit, 'other', (name) => {
        made.push(name)
        return name
      })
      for (const name of [...names, '\uD800', '\uDFFF', '\uFFFD', 'other']) of(name)
      assert.equal(new Set(made).size, made.length)
      assert.ok(made.length <= limit + 1)
      assert.ok(made.every((label) => label.isWellFormed()))
    }),
  )
})
