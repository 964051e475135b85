import assert from 'node:assert/strict'
import { test } from 'node:test'
import { failing, trial, type Change, type Terms, type Trial } from '../../../sidecar/proxy/canary/trial.ts'

const terms: Terms = {
  weight: 10,
  identity: 'first',
  failoverThreshold: 0.1,
  margin: 0.05,
  minimumCalls: 50,
  windowMs: 600_000,
  refusals: true,
}

function aTrial(over: Partial<Terms> = {}): { one: Trial; changes: Change[]; pass: (ms: number) => void } {
  let time = 1_000
  const changes: Change[] = []
  const one = trial({ route: 'chat', now: () => time, saved: undefined, changed: (change) => changes.push(change) }, { ...terms, ...over })
  return { one, changes, pass: (ms) => (time += ms) }
}

function notes(one: Trial, side: 'stable' | 'canary', good: number, failed: number, refused = 0): void {
  for (let n = 0; n < good; n++) one.note(side, 'good', true)
  for (let n = 0; n < refused; n++) one.note(side, 'refused', true)
  for (let n = 0; n < failed; n++) one.note(side, 'failed', true)
}

test('a canary whose error rate is above the threshold loses its weight, once, with the reason in words', () => {
  const { one, changes } = aTrial()
  notes(one, 'stable', 99, 1)
  notes(one, 'canary', 45, 5)
  assert.equal(one.setting().state, 'running')
  notes(one, 'canary', 0, 20)
  assert.deepEqual([one.setting().weight, one.setting().state, one.setting().version, one.setting().rollbacks], [0, 'rolled_back', 2, 1])
  assert.equal(one.setting().why, '6 of 51 calls failed (11.8 %, more than 10 %), 1 % of 100 on the stable side')
  assert.deepEqual([changes.length, changes[0]?.automatic], [1, true])
})

test('too few calls say nothing', () => {
  const { one } = aTrial()
  notes(one, 'canary', 0, 49)
  assert.equal(one.setting().state, 'running')
  notes(one, 'canary', 0, 1)
  assert.equal(one.setting().state, 'rolled_back')
  assert.match(one.setting().why, /with too few on the stable side to compare$/)
})

test('what the stable side does as badly is not the fault of the canary', () => {
  const { one } = aTrial()
  notes(one, 'stable', 50, 50)
  notes(one, 'canary', 50, 50)
  assert.equal(one.setting().state, 'running')
  // The stable side recovers, and the canary does not.
  notes(one, 'stable', 900, 0)
  notes(one, 'canary', 0, 1)
  assert.equal(one.setting().state, 'rolled_back')
})

test('errors that have left the window count no more', () => {
  const { one, pass } = aTrial()
  notes(one, 'canary', 0, 49)
  pass(700_000)
  notes(one, 'canary', 45, 5)
  assert.equal(one.setting().state, 'running')
})

test('refusals count where the stable side shows that they are not the fault of the app, and where they are wanted', () => {
  const compared = aTrial()
  notes(compared.one, 'stable', 100, 0)
  notes(compared.one, 'canary', 40, 1, 10)
  assert.equal(compared.one.setting().state, 'rolled_back')
  const alike = aTrial()
  notes(alike.one, 'stable', 80, 0, 20)
  notes(alike.one, 'canary', 40, 1, 10)
  assert.equal(alike.one.setting().state, 'running')
  const alone = aTrial()
  notes(alone.one, 'canary', 40, 1, 10)
  assert.equal(alone.one.setting().state, 'running')
  const unwanted = aTrial({ refusals: false })
  notes(unwanted.one, 'stable', 100, 0)
  notes(unwanted.one, 'canary', 40, 1, 10)
  assert.equal(unwanted.one.setting().state, 'running')
})

test('calls that have chosen their side are counted, and judged by nobody', () => {
  const { one } = aTrial()
  for (let n = 0; n < 200; n++) one.note('canary', 'failed', false)
  assert.deepEqual([one.setting().state, one.total('canary', 'failed'), one.rate('canary').calls], ['running', 200, 0])
})

test('rolled back it stays so until a weight is set, and what was before counts no more then', () => {
  const { one } = aTrial()
  notes(one, 'canary', 0, 50)
  notes(one, 'canary', 500, 0)
  assert.equal(one.setting().state, 'rolled_back')
  one.setWeight(5, 'again')
  notes(one, 'canary', 0, 49)
  assert.deepEqual([one.setting().weight, one.setting().state], [5, 'running'])
})

test('promoted it has all calls, and nothing is rolled back by itself any more', () => {
  const { one } = aTrial()
  one.promote('good enough')
  notes(one, 'canary', 0, 500)
  assert.deepEqual([one.setting().weight, one.setting().state], [100, 'promoted'])
  one.reset('back')
  assert.deepEqual([one.setting().weight, one.setting().state, one.setting().version], [10, 'running', 3])
})

test('the config goes before what was set at run time only where it says something else of the canary', () => {
  const { one } = aTrial()
  one.setWeight(30, 'more')
  one.adopt({ ...terms, failoverThreshold: 0.5 })
  assert.deepEqual([one.setting().weight, one.setting().version], [30, 2])
  notes(one, 'canary', 60, 40)
  assert.equal(one.setting().state, 'running', 'the new threshold counts')
  one.adopt({ ...terms, identity: 'second', weight: 20 })
  assert.deepEqual([one.setting().weight, one.setting().version], [20, 3])
  notes(one, 'canary', 0, 49)
  assert.equal(one.setting().state, 'running', 'it is another trial')
})

test('a threshold of 1 never rolls back', () => {
  const canary = { calls: 100, failed: 100, refused: 0 }
  const stable = { calls: 100, failed: 0, refused: 0 }
  assert.equal(failing({ ...terms, failoverThreshold: 1 }, canary, stable), undefined)
  assert.match(failing(terms, canary, stable) ?? '', /^100 of 100 calls failed \(100 %, more than 10 %\), 0 % of 100/)
})
