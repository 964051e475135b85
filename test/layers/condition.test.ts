import assert from 'node:assert/strict'
import { test } from 'node:test'
import { condition, type Outcome, type State } from '../../sidecar/proxy/upstream/condition.ts'

function after(...outcomes: Outcome[]): State {
  const one = condition(5)
  for (const outcome of outcomes) one.note(outcome, 'x', 1)
  return one.state()
}

const times = (count: number, outcome: Outcome): Outcome[] => Array.from({ length: count }, () => outcome)

test('nothing known is healthy', () => {
  assert.equal(after(), 'healthy')
})

test('the last attempt gone wrong degrades; two among the last twenty do not', () => {
  assert.equal(after('good', 'failed'), 'degraded')
  assert.equal(after('good', 'refused'), 'degraded')
  assert.equal(after('failed', 'good', 'failed', 'good'), 'healthy')
  assert.equal(after('failed', 'good', 'failed', 'good', 'failed', 'good'), 'degraded')
})

test('what is more than twenty attempts ago is forgotten', () => {
  assert.equal(after(...times(10, 'failed'), ...times(18, 'good')), 'healthy')
  assert.equal(after(...times(10, 'failed'), ...times(17, 'good')), 'degraded')
})

test('five failures in a row are unhealthy, four are not, and a refusal ends the row', () => {
  assert.equal(after(...times(4, 'failed')), 'degraded')
  assert.equal(after(...times(5, 'failed')), 'unhealthy')
  assert.equal(after(...times(500, 'failed')), 'unhealthy')
  assert.equal(after(...times(5, 'failed'), 'refused'), 'degraded')
  assert.equal(after(...times(50, 'refused')), 'degraded')
})

test('what is told are counts, and how long ago', () => {
  const one = condition(5)
  one.took(10)
  one.note('good', '', 1_000)
  one.took(30)
  one.note('failed', 'status 500', 2_000)
  assert.deepEqual(one.read(5_000), {
    attempts: 2,
    good: 1,
    failuresInARow: 1,
    meanResponseMs: 20,
    lastGoodMsAgo: 4_000,
    lastBad: { what: 'status 500', msAgo: 3_000 },
  })
})
