import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { pins, type PinBook, type Pins } from '../../sidecar/proxy/upstream/pins.ts'

function open(bounds: { most?: number; keepMs?: number } = {}): Pins & { readonly book: PinBook } {
  const book: PinBook = new Map()
  return { ...pins(book, { most: 100, keepMs: 1_000_000, ...bounds }), book }
}

test('what was made at an upstream is found there, for as long as it is kept', () => {
  const some = open({ keepMs: 1_000 })
  some.learn('resp_1', 'a', 0)
  assert.equal(some.find('resp_1', 999), 'a')
  assert.equal(some.find('resp_2', 999), undefined)
  assert.equal(some.find('resp_1', 1_998), 'a', 'what is in use stays')
  assert.equal(some.find('resp_1', 2_998), undefined)
  assert.equal(some.book.size, 0)
})

test('what is made anew counts', () => {
  const some = open()
  some.learn('id', 'a', 0)
  some.learn('id', 'b', 1)
  assert.equal(some.find('id', 2), 'b')
})

test('the map stays small: the least lately used goes first', () => {
  const some = open({ most: 3 })
  for (const id of ['one', 'two', 'three']) some.learn(id, 'a', 0)
  assert.equal(some.find('one', 1), 'a')
  some.learn('four', 'a', 2)
  assert.equal(some.find('two', 3), undefined)
  assert.equal(some.find('one', 3), 'a')
  for (let n = 0; n < 1_000; n++) some.learn(`id ${n}`, 'a', 4)
  assert.equal(some.book.size, 3)
})

test('neither an empty id nor an endless one is kept', () => {
  const some = open()
  some.learn('', 'a', 0)
  some.learn('x'.repeat(1_000), 'a', 0)
  assert.equal(some.book.size, 0)
})

test('another config goes on with what is known, within its own bounds', () => {
  const { book, learn } = open()
  for (const id of ['one', 'two', 'three']) learn(id, 'a', 0)
  const next = pins(book, { most: 2, keepMs: 10 })
  assert.equal(next.find('three', 9), 'a')
  assert.equal(next.find('two', 10), undefined)
  next.learn('four', 'b', 10)
  assert.deepEqual([...book.keys()], ['three', 'four'])
})

test('whatever is learned and asked, an id is known by the account that made it last, or not at all', () => {
  const step = fc.record({ id: fc.integer({ min: 0, max: 20 }).map(String), account: fc.constantFrom('a', 'b', 'c'), learns: fc.boolean() })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), fc.integer({ min: 1, max: 10 }), (steps, most) => {
      const some = open({ most, keepMs: 50 })
      const made = new Map<string, string>()
      for (const [now, { id, account, learns }] of steps.entries()) {
        if (learns) {
          some.learn(id, account, now)
          made.set(id, account)
          assert.equal(some.find(id, now), account)
        } else assert.ok([undefined, made.get(id)].includes(some.find(id, now)))
        assert.ok(some.book.size <= most)
      }
    }),
  )
})
