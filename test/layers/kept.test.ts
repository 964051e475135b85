import assert from 'node:assert/strict'
import { test } from 'node:test'
import { kept } from '../../sidecar/proxy/kept.ts'

test('what two hold under one key is one thing, and it is closed once, when the last lets go', async () => {
  let opened = 0
  let closed = 0
  const all = kept<{ close: () => void }>()
  const open = () => {
    opened++
    return { close: () => closed++ }
  }
  const one = await all.take('a', open)
  const two = await all.take('a', open)
  const other = await all.take('b', open)
  assert.equal(one.item, two.item)
  assert.notEqual(one.item, other.item)
  assert.deepEqual([opened, all.all().length], [2, 2])
  one.release()
  one.release()
  assert.equal(closed, 0, 'the second still holds it')
  two.release()
  assert.deepEqual([closed, all.all()], [1, [other.item]])
  assert.notEqual((await all.take('a', open)).item, one.item)
})

test('what cannot be opened leaves nothing behind', async () => {
  const all = kept<{ close: () => void }>()
  await assert.rejects(all.take('a', () => Promise.reject(new Error('no'))))
  assert.deepEqual(all.all(), [])
})
