import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pins } from '../../sidecar/proxy/upstream/pins.ts'

test('what was made at an upstream is found there, for as long as it is kept', () => {
  const some = pins({ keepMs: 1_000 })
  some.learn('resp_1', 'a', 0)
  assert.equal(some.find('resp_1', 999), 'a')
  assert.equal(some.find('resp_2', 999), undefined)
  assert.equal(some.find('resp_1', 1_998), 'a', 'what is in use stays')
  assert.equal(some.find('resp_1', 2_998), undefined)
  assert.equal(some.size(), 0)
})

test('what is made anew counts', () => {
  const some = pins()
  some.learn('id', 'a', 0)
  some.learn('id', 'b', 1)
  assert.equal(some.find('id', 2), 'b')
})

test('the map stays small: the least lately used goes first', () => {
  const some = pins({ most: 3 })
  for (const id of ['one', 'two', 'three']) some.learn(id, 'a', 0)
  assert.equal(some.find('one', 1), 'a')
  some.learn('four', 'a', 2)
  assert.equal(some.find('two', 3), undefined)
  assert.equal(some.find('one', 3), 'a')
  for (let n = 0; n < 1_000; n++) some.learn(`id ${n}`, 'a', 4)
  assert.equal(some.size(), 3)
})

test('neither an empty id nor an endless one is kept', () => {
  const some = pins()
  some.learn('', 'a', 0)
  some.learn('x'.repeat(1_000), 'a', 0)
  assert.equal(some.size(), 0)
})

test('an upstream that is gone is forgotten', () => {
  const some = pins()
  some.learn('one', 'a', 0)
  some.learn('two', 'b', 0)
  some.forget('a')
  assert.equal(some.find('one', 0), undefined)
  assert.equal(some.find('two', 0), 'b')
})
