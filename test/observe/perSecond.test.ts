import assert from 'node:assert/strict'
import { test } from 'node:test'
import { perSecond } from '../../sidecar/observe/perSecond.ts'

test('counts over the last minute, and over the time since the start in the first one', () => {
  let ms = 5_000
  const rate = perSecond(() => ms)
  assert.equal(rate.current(), 0)
  for (let n = 0; n < 30; n++) rate.count(ms)
  assert.equal(rate.current(), 30)
  ms += 9_000
  assert.equal(rate.current(), 3)
  ms += 50_000
  assert.equal(rate.current(), 0.5)
  ms += 1_000
  assert.equal(rate.current(), 0, 'what is older than a minute is forgotten')
})

test('a pause of any length leaves nothing behind', () => {
  let ms = 0
  const rate = perSecond(() => ms)
  for (let second = 0; second < 120; second++) {
    rate.count(ms)
    ms += 1_000
  }
  assert.ok(Math.abs(rate.current() - 1) < 0.05)
  ms += 3_600_000
  assert.equal(rate.current(), 0)
  rate.count(ms)
  assert.equal(rate.current(), 1 / 60)
})
