import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { firstBytes } from '../../sidecar/proxy/upstream/firstBytes.ts'
import { adaptivePatience, fixedPatience, type Patience, type PatienceNumbers } from '../../sidecar/proxy/upstream/patience.ts'

const usual: PatienceNumbers = { coldMs: 60_000, shortestMs: 15_000, longestMs: 120_000, times: 3, warmAfter: 50 }

const adaptive = (numbers: Partial<PatienceNumbers> = {}, mostModels?: number): Patience =>
  adaptivePatience(firstBytes(mostModels), { ...usual, ...numbers })

const seen = (patience: Patience, times: number, ms: number, model = 'm'): number => {
  for (let n = 0; n < times; n++) patience.took(model, true, ms)
  return patience.current(model, false)
}

test('until fifty first events have been seen, a minute is waited for the next', () => {
  const patience = adaptive()
  assert.equal(seen(patience, 49, 10_000), 60_000)
  assert.equal(seen(patience, 1, 10_000), 30_000)
})

test('then three times what nearly all of them took, in place of the minute', () => {
  assert.equal(seen(adaptive(), 60, 8_000), 24_000)
})

test('a fast model is still given 15 seconds, and a slow one no more than two minutes', () => {
  assert.equal(seen(adaptive(), 100, 50), 15_000)
  assert.equal(seen(adaptive(), 100, 90_000), 120_000)
})

test('one call in two hundred that thinks long does not make everyone wait', () => {
  const patience = adaptive()
  seen(patience, 199, 7_000)
  assert.equal(seen(patience, 1, 110_000), 21_000)
})

test('only the last two hundred count: a model that became faster is waited for less', () => {
  const patience = adaptive()
  assert.equal(seen(patience, 200, 30_000), 90_000)
  assert.equal(seen(patience, 200, 10_000), 30_000)
})

test('each number can be another', () => {
  const numbers: PatienceNumbers = { coldMs: 5_000, shortestMs: 1_000, longestMs: 9_000, times: 1.5, warmAfter: 3 }
  const patience = adaptive(numbers)
  assert.equal(seen(patience, 2, 2_000), 5_000)
  assert.equal(seen(patience, 1, 2_000), 3_000)
  assert.equal(seen(adaptive(numbers), 3, 20), 1_000)
  assert.equal(seen(adaptive(numbers), 3, 20_000), 9_000)
  assert.equal(adaptive(numbers).current('m', true), 5_000)
  // As many as a config may ask for.
  assert.equal(seen(adaptive({ warmAfter: 200 }), 200, 8_000), 24_000)
})

test('each model is waited for by its own measure, at the same upstream', () => {
  const patience = adaptive()
  seen(patience, 60, 500, 'quick')
  seen(patience, 60, 30_000, 'thinks')
  assert.equal(patience.current('quick', false), 15_000)
  assert.equal(patience.current('thinks', false), 90_000)
})

test('a model that is new at an upstream is waited for as all models there are', () => {
  const patience = adaptive()
  seen(patience, 60, 6_000, 'known')
  assert.equal(patience.current('new', false), 18_000)
  // Until enough is known of itself, whatever that is.
  assert.equal(seen(patience, 49, 4_000, 'new'), 18_000)
  assert.equal(seen(patience, 1, 20_000, 'new'), 60_000)
})

test('but for a minute once it took longer than that: else it would be cut for ever, and never be known', () => {
  const patience = adaptive()
  seen(patience, 60, 500, 'quick')
  assert.equal(patience.current('thinks', false), 15_000)
  patience.gaveUp('thinks')
  assert.equal(patience.current('thinks', false), 60_000)
  assert.equal(patience.current('another', false), 15_000)
  assert.equal(seen(patience, 50, 25_000, 'thinks'), 75_000)
})

test('who has nobody to take over is waited for a minute at least', () => {
  const patience = adaptive()
  seen(patience, 60, 500, 'quick')
  seen(patience, 60, 30_000, 'thinks')
  assert.equal(patience.current('quick', true), 60_000)
  assert.equal(patience.current('thinks', true), 90_000)
})

test('models beyond the bound are known together, and cost those within it nothing', () => {
  const patience = adaptive({}, 2)
  seen(patience, 60, 500, 'a')
  seen(patience, 60, 25_000, 'b')
  seen(patience, 30, 10_000, 'c')
  assert.equal(seen(patience, 30, 10_000, 'd'), 30_000)
  assert.equal(patience.current('c', false), 30_000)
  assert.equal(patience.current('never heard of', false), 30_000)
  assert.deepEqual([patience.current('a', false), patience.current('b', false)], [15_000, 75_000])
})

test('the usual first byte is the median of the last ones, of each model, of streams and of other answers apart', () => {
  const patience = adaptive()
  for (let n = 0; n < 9; n++) patience.took('m', true, 1_000)
  assert.equal(patience.usualMs('m', true), undefined)
  patience.took('m', true, 90_000)
  assert.equal(patience.usualMs('m', true), 1_000)
  assert.equal(patience.usualMs('m', false), undefined)
  assert.equal(patience.usualMs('other', true), undefined)
  for (let n = 0; n < 20; n++) patience.took('m', false, 7_000)
  assert.equal(patience.usualMs('m', false), 7_000)
  assert.equal(patience.usualMs('m', true), 1_000)
  // A model that has become slower is known as such soon.
  for (let n = 0; n < 50; n++) patience.took('m', false, 9_000)
  assert.equal(patience.usualMs('m', false), 9_000)
})

test('whatever is observed, the wait stays within its bounds, and the usual within what was seen', () => {
  const news = fc.record({
    model: fc.constantFrom('a', 'b', 'c', 'd'),
    stream: fc.boolean(),
    ms: fc.double({ min: 0, max: 1e7, noNaN: true }),
  })
  fc.assert(
    fc.property(fc.array(news, { maxLength: 500 }), fc.nat(4), (all, most) => {
      const patience = adaptive({}, most)
      const took = new Map<string, number[]>()
      for (const { model, stream, ms } of all) {
        patience.took(model, stream, ms)
        const key = `${model} ${stream}`
        took.set(key, [...(took.get(key) ?? []), ms])
        const current = patience.current(model, false)
        assert.ok(current >= 15_000 && current <= 120_000)
        const usualMs = patience.usualMs(model, stream)
        if (usualMs === undefined || most < 4) continue
        const own = took.get(key) ?? []
        assert.ok(usualMs >= Math.min(...own) && usualMs <= Math.max(...own))
      }
    }),
    { numRuns: 50 },
  )
})

test('a configured wait is not moved by what is observed, and the usual is known all the same', () => {
  const patience = fixedPatience(firstBytes(), 2_000)
  assert.equal(seen(patience, 500, 60_000), 2_000)
  assert.equal(patience.current('m', true), 2_000)
  assert.equal(patience.usualMs('m', true), 60_000)
})
