import assert from 'node:assert/strict'
import { test } from 'node:test'
import { health } from '../../../sidecar/proxy/upstream/health.ts'
import { checkedHealth, type CheckedHealth } from '../../../sidecar/proxy/upstream/health/checkedHealth.ts'
import { usualHealth } from '../../fixtures/usual.ts'

/** Jitter in the middle: a time is what it says. */
const plain = (): CheckedHealth =>
  checkedHealth(
    health(() => 0.5, usualHealth),
    usualHealth,
  )

const ejected = (): CheckedHealth => {
  const one = plain()
  for (let n = 0; n < 5; n++) one.note(one.admit(0), 'hard', 0)
  return one
}

const checks = (one: CheckedHealth, now: number, ...well: boolean[]): boolean[] => well.map((each) => one.checked(each, now))

test('three checks that fail take it down and two that go well bring it up, to where it was', () => {
  const one = ejected()
  checks(one, 0, false, false)
  assert.equal(one.state(0), 'ejected')
  checks(one, 0, false)
  assert.equal(one.state(0), 'down')
  assert.equal(one.usable(20_000), false)
  assert.equal(one.sound(20_000), false)
  assert.equal(one.until(0), undefined, 'nobody knows when')
  checks(one, 0, true, false, true)
  assert.equal(one.state(0), 'down')
  checks(one, 0, true)
  assert.equal(one.state(0), 'ejected', 'that it answers says nothing of its models')
  assert.equal(one.state(10_000), 'probation')
})

test('checks that fail now and then take nothing down', () => {
  const one = plain()
  for (let n = 0; n < 20; n++) checks(one, n, false, false, true)
  assert.equal(one.state(20), 'healthy')
})

test('one that comes up has a slow start of thirty seconds', () => {
  const one = plain()
  checks(one, 1_000, false, false, false, true, true)
  assert.equal(one.state(1_000), 'slow_start')
  assert.equal(one.usable(1_000), true)
  assert.equal(one.ease(1_000), 0.1)
  assert.equal(one.ease(16_000), 0.5)
  assert.equal(one.state(31_000), 'healthy')
  assert.equal(one.ease(31_000), 1)
})

test('it is back when a check goes well after one that did not, or after as many as bring it up', () => {
  assert.deepEqual(checks(plain(), 0, true, true, false, true, true), [false, false, false, true, false])
  assert.deepEqual(checks(plain(), 0, false, false, false, true, true, true), [false, false, false, false, true, false])
})

test('a check that may have asked the wrong thing takes nothing down, and is remembered all the same', () => {
  const one = plain()
  for (let n = 0; n < 10; n++) one.doubted()
  assert.equal(one.state(0), 'healthy')
  assert.deepEqual(checks(one, 0, true, true), [true, false])
})

test('an ejection that is hastened ends within two seconds, in probation and nothing better', () => {
  const one = ejected()
  one.hasten(2_000)
  assert.equal(one.state(2_999), 'ejected')
  assert.equal(one.state(3_000), 'probation')
  const pass = one.admit(3_000)
  assert.equal(one.usable(3_000), false, 'one real call at a time')
  one.note(pass, 'hard', 3_000)
  assert.equal(one.until(3_000), 13_000, 'should that fail, it is another fault, and begins short')
})

test('what ends sooner by itself is not put off, and what is no ejection is not hastened', () => {
  const soon = ejected()
  soon.hasten(9_999)
  assert.equal(soon.until(9_999), 10_000)
  for (const effect of ['auth', 'exhausted', 'limited'] as const) {
    const one = plain()
    one.note(one.admit(0), effect, 0, { hintMs: 60_000 })
    const until = one.until(0)
    one.hasten(1_000)
    assert.equal(one.until(1_000), until, effect)
  }
})

test('a call that hangs on probation since before does not keep the next one out, and its end says nothing', () => {
  const one = ejected()
  const hung = one.admit(10_000)
  one.hasten(11_000)
  assert.equal(one.usable(12_000), true)
  one.note(hung, 'hard', 12_000)
  assert.equal(one.state(12_000), 'probation')
})

test('a call that was let through while it was out still proves that it is back, hastened or not', () => {
  const one = ejected()
  const pass = one.admit(1_000)
  one.hasten(2_000)
  one.note(pass, 'good', 2_500)
  assert.equal(one.state(2_500), 'slow_start')
})

test('a reset forgets what checks said', () => {
  const one = plain()
  checks(one, 0, false, false, false)
  one.reset()
  assert.equal(one.state(0), 'healthy')
  checks(one, 0, false, false, false, true, true)
  one.reset()
  assert.equal(one.ease(0), 1)
})
