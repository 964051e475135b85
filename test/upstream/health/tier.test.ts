import assert from 'node:assert/strict'
import { test } from 'node:test'
import { health, type Health } from '../../../sidecar/proxy/upstream/health.ts'
import { book } from '../../../sidecar/proxy/upstream/health/book.ts'
import { leastBad, mayEject, worstOf } from '../../../sidecar/proxy/upstream/health/tier.ts'
import { usualHealth } from '../../fixtures/usual.ts'

const plain = (): Health => health(() => 0.5, usualHealth)
const after = (effect: 'hard' | 'limited' | 'exhausted' | 'auth', times = 1): Health => {
  const one = plain()
  for (let n = 0; n < times; n++) one.note(one.admit(0), effect, 0)
  return one
}
const well = plain
const ejected = (): Health => after('hard', 5)
const limited = (): Health => after('limited')
const refused = (): Health => after('auth')
const exhausted = (): Health => after('exhausted')

test('the last usable one of a tier is not ejected', () => {
  const one = well()
  assert.equal(mayEject(one, [one], 0.5, 0), false)
  assert.equal(mayEject(one, [one, limited()], 0.5, 0), false)
  assert.equal(mayEject(one, [one, refused(), limited(), exhausted()], 0.5, 0), false)
  assert.equal(mayEject(one, [one, well()], 0.5, 0), true)
})

test('no more than half of a tier is ejected', () => {
  const one = well()
  assert.equal(mayEject(one, [one, ejected(), well()], 0.5, 0), false)
  assert.equal(mayEject(one, [one, ejected(), well(), well()], 0.5, 0), true)
  assert.equal(mayEject(one, [one, ejected(), ejected(), well(), well()], 0.5, 0), false)
})

test('where a lower tier can take over, all of it may be', () => {
  const one = well()
  assert.equal(mayEject(one, [one], Infinity, 0), true)
  assert.equal(mayEject(one, [one, ejected(), ejected()], Infinity, 0), true)
})

test('one on probation still counts as ejected', () => {
  const one = well()
  assert.equal(mayEject(one, [one, ejected()], 0.5, 10_000), false)
})

test('a call that nobody is fit for goes to the least bad, and to none whose key was refused', () => {
  const [limit, out, poor, locked] = [limited(), ejected(), exhausted(), refused()]
  assert.equal(leastBad([locked, poor, out, limit], 0), limit)
  assert.equal(leastBad([limit, out, poor, locked], 0), limit)
  assert.equal(leastBad([locked, poor, out], 0), out)
  assert.equal(leastBad([out, poor, locked], 0), out)
  assert.equal(leastBad([locked, poor], 0), poor)
  assert.equal(leastBad([locked, refused()], 0), undefined)
  assert.equal(leastBad([], 0), undefined)
})

test('of two alike, to the one that is to be tried again first', () => {
  const [sooner, later] = [plain(), plain()]
  sooner.note(sooner.admit(0), 'limited', 0, { hintMs: 5_000 })
  later.note(later.admit(0), 'limited', 0, { hintMs: 9_000 })
  assert.equal(leastBad([later, sooner], 0), sooner)
})

test('of an upstream the worst is told', () => {
  assert.equal(worstOf([]), 'healthy')
  assert.equal(worstOf(['healthy', 'limited', 'ejected', 'slow_start']), 'ejected')
})

test('each model of an upstream is well or ill for itself', () => {
  const models = book(plain)
  for (let n = 0; n < 5; n++) models.of('a').note(models.of('a').admit(0), 'hard', 0)
  assert.equal(models.of('a').state(0), 'ejected')
  assert.equal(models.of('b').state(0), 'healthy')
  assert.deepEqual(
    models.all().map((one) => one.state(0)),
    ['ejected', 'healthy'],
  )
})

test('names that clients make up push out what was not asked for lately, and the book stays small', () => {
  const models = book(plain, 3)
  const first = models.of('real')
  for (let n = 0; n < 100; n++) {
    models.of(`made up ${n}`)
    assert.equal(models.of('real'), first)
  }
  assert.equal(models.all().length, 3)
  for (let n = 0; n < 6; n++) models.of(`made up ${n}`)
  assert.notEqual(models.of('real'), first)
})
