import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bounded } from '../../sidecar/injector/window.ts'

test('the first of its kind passes at once, and what follows passes together at the end of the window', async () => {
  const passed: [string, number][] = []
  const held: string[] = []
  const second = Promise.withResolvers<void>()
  const one = bounded<string>({
    keyOf: (text) => text,
    pass: (text, times) => {
      passed.push([text, times])
      if (passed.length === 3) second.resolve()
    },
    held: (why) => held.push(why),
    windowMs: 50,
  })
  for (const text of ['a', 'a', 'b', 'a']) one.take(text)
  assert.deepEqual(passed, [
    ['a', 1],
    ['b', 1],
  ])
  // The window does not keep a process alive that has nothing else to do.
  const alive = setInterval(() => {}, 1_000)
  await second.promise
  clearInterval(alive)
  assert.deepEqual(passed[2], ['a', 2])
  assert.deepEqual(held, ['repeated', 'repeated'])
  one.close()
})

test('all kinds together are bounded', () => {
  let passed = 0
  let dropped = 0
  const one = bounded<number>({ keyOf: String, pass: () => passed++, held: () => dropped++, burst: 5, perSecond: 0 })
  for (let n = 0; n < 3_000; n++) one.take(n)
  assert.deepEqual([passed, dropped], [5, 2_995])
  one.close()
})
