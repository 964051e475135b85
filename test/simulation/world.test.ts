import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { world } from './world.ts'

test('things happen in the order of their times, and in the order they were asked for where those are equal', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(20), { maxLength: 60 }), async (times) => {
      const here = world()
      const seen: [number, number][] = []
      for (const [n, time] of times.entries()) here.at(time, () => seen.push([here.now(), n]))
      await here.run()
      const expected = times.map((time, n): [number, number] => [time, n]).toSorted(([a, n], [b, m]) => a - b || n - m)
      assert.deepEqual(seen, expected)
    }),
    { seed: 1, numRuns: 200 },
  )
})

test('all promises that can settle have settled before time goes on, however long their chain', async () => {
  const here = world()
  let settled = 0
  const chain = async (): Promise<void> => {
    for (let n = 0; n < 100; n++) await Promise.resolve()
    settled = here.now()
  }
  here.at(5, () => void chain())
  here.at(5.001, () => assert.equal(settled, 5))
  await here.run()
})

test('the wheel of the layers rings in this time, and what was stopped does not happen', async () => {
  const here = world()
  const rung: number[] = []
  here.clock.set(3_600_000, () => rung.push(here.now()))
  const early = here.clock.set(1_000, () => rung.push(-1))
  const stop = here.at(700, () => rung.push(-2))
  here.at(600, () => {
    here.clock.clear(early)
    stop()
  })
  await here.run()
  assert.equal(rung.length, 1)
  assert.ok((rung[0] ?? 0) >= 3_600_000 && (rung[0] ?? 0) <= 3_600_100)
})

test('a defect in what happens ends the run', async () => {
  const here = world()
  here.at(1, () => {
    throw new Error('a defect')
  })
  await assert.rejects(here.run(), /a defect/)
})
