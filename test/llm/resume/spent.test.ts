import assert from 'node:assert/strict'
import { test } from 'node:test'
import { addedTokens } from '../../../sidecar/proxy/llm/resume/spent.ts'

const unknown = { input: undefined, output: undefined }

test('an attempt that says all again tells what the one before it had cost', () => {
  // 40 characters of 80 had come, and 80 took 20 tokens.
  const before = [{ prefix: 0, produced: 40, ...unknown }]
  assert.deepEqual(addedTokens({ prefix: 0, produced: 80, before }, 100, 20), { input: 100, output: 10 })
})

test('an attempt that goes on was sent the beginning beside the prompt', () => {
  const before = [
    { prefix: 0, produced: 40, ...unknown },
    { prefix: 40, produced: 8, ...unknown },
  ]
  // A quarter of a token for each character: the prompt had 100, the beginning 12.
  assert.deepEqual(addedTokens({ prefix: 48, produced: 32, before }, 112, 8), { input: 100 + 110, output: 10 + 2 })
})

test('what an attempt told of itself is believed, and what the last one does not tell is not made up', () => {
  const before = [{ prefix: 0, produced: 40, input: 90, output: 7 }]
  assert.deepEqual(addedTokens({ prefix: 0, produced: 80, before }, 100, 20), { input: 90, output: 7 })
  assert.equal(addedTokens({ prefix: 0, produced: 80, before }, undefined, 20), undefined)
  assert.deepEqual(addedTokens({ prefix: 0, produced: 0, before: [{ prefix: 0, produced: 8, ...unknown }] }, 10, 0), {
    input: 10,
    output: 2,
  })
})
