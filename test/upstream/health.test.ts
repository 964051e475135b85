import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Effect } from '../../sidecar/proxy/llm/outcome.ts'
import { health, type Health } from '../../sidecar/proxy/upstream/health.ts'
import { usualHealth } from '../fixtures/usual.ts'

/** Jitter in the middle: a time is what it says. */
const plain = (): Health => health(() => 0.5, usualHealth)

function attempts(one: Health, effect: Effect, times: number, now: number): void {
  for (let n = 0; n < times; n++) one.note(one.admit(now), effect, now)
}

const ejected = (): Health => {
  const one = plain()
  attempts(one, 'hard', 5, 0)
  return one
}

test('an upstream of which nothing is known is healthy', () => {
  const one = plain()
  assert.equal(one.state(0), 'healthy')
  assert.equal(one.usable(0), true)
  assert.equal(one.ease(0), 1)
  assert.equal(one.until(0), undefined)
})

test('five hard failures in a row eject it for ten seconds', () => {
  const one = plain()
  attempts(one, 'hard', 4, 0)
  assert.equal(one.state(0), 'healthy')
  attempts(one, 'hard', 1, 0)
  assert.equal(one.state(0), 'ejected')
  assert.equal(one.usable(9_999), false)
  assert.equal(one.until(0), 10_000)
})

test('one success between them ends the row', () => {
  const one = plain()
  attempts(one, 'good', 20, 0)
  for (const effect of ['hard', 'hard', 'hard', 'hard', 'good', 'hard', 'hard', 'hard', 'hard'] as const) attempts(one, effect, 1, 0)
  assert.equal(one.state(0), 'healthy')
})

test('more failures than successes within a minute eject it, from eight attempts on', () => {
  const one = plain()
  for (let n = 0; n < 3; n++) for (const effect of ['good', 'soft'] as const) attempts(one, effect, 1, n)
  attempts(one, 'soft', 1, 3)
  assert.equal(one.state(4), 'healthy')
  attempts(one, 'soft', 1, 4)
  assert.equal(one.state(4), 'ejected')
})

test('failures of more than a minute ago are forgotten', () => {
  const one = plain()
  attempts(one, 'good', 3, 0)
  attempts(one, 'soft', 4, 0)
  attempts(one, 'soft', 1, 66_000)
  assert.equal(one.state(66_000), 'healthy')
})

test('what says nothing of the upstream is not counted', () => {
  const one = plain()
  attempts(one, 'none', 100, 0)
  assert.equal(one.state(0), 'healthy')
})

test('one that its tier cannot do without is not ejected, until it can', () => {
  const one = plain()
  let asked = 0
  const news = (may: boolean) => ({
    mayEject: () => {
      asked++
      return may
    },
  })
  for (let n = 0; n < 10; n++) one.note(one.admit(0), 'hard', 0, news(false))
  assert.equal(one.state(0), 'healthy')
  assert.equal(asked, 6)
  one.note(one.admit(0), 'hard', 0, news(true))
  assert.equal(one.state(0), 'ejected')
})

test('one that is spared serves those who come first, and is not asked a second time, until it answers', () => {
  const one = plain()
  for (let n = 0; n < 4; n++) one.note(one.admit(0), 'hard', 0, { mayEject: () => false })
  assert.equal(one.sound(0), true)
  one.note(one.admit(0), 'hard', 0, { mayEject: () => false })
  assert.equal(one.usable(0), true)
  assert.equal(one.sound(0), false)
  one.note(one.admit(0), 'good', 0)
  assert.equal(one.sound(0), true)
  assert.equal(ejected().sound(0), false)
  assert.equal(ejected().sound(10_000), true)
})

test('where that was longer ago than an ejection lasts, it may be well again', () => {
  const one = plain()
  for (let n = 0; n < 5; n++) one.note(one.admit(0), 'hard', 0, { mayEject: () => false })
  assert.deepEqual([one.sound(9_999), one.proven(9_999)], [false, false])
  assert.deepEqual([one.sound(10_000), one.proven(10_000)], [true, true])
  one.note(one.admit(10_000), 'hard', 10_000, { mayEject: () => false })
  assert.equal(one.sound(19_999), false)
})

test('after its ejection one real call at a time may try it', () => {
  const one = ejected()
  assert.equal(one.state(10_000), 'probation')
  assert.equal(one.usable(10_000), true)
  const pass = one.admit(10_000)
  assert.equal(one.usable(10_000), false)
  one.release(pass)
  assert.equal(one.usable(10_000), true)
})

test('a call on probation that goes well begins a slow start of thirty seconds', () => {
  const one = ejected()
  one.note(one.admit(10_000), 'good', 10_000)
  assert.equal(one.state(10_000), 'slow_start')
  assert.equal(one.ease(10_000), 0.1)
  assert.equal(one.ease(25_000), 0.5)
  assert.equal(one.state(40_000), 'healthy')
  assert.equal(one.ease(40_000), 1)
})

test('each that fails doubles the ejection, up to five minutes', () => {
  const one = ejected()
  let now = 0
  const waits: number[] = []
  for (let n = 0; n < 8; n++) {
    const until = one.until(now) ?? now
    waits.push(until - now)
    now = until
    one.note(one.admit(now), n % 2 === 0 ? 'hard' : 'soft', now)
  }
  assert.deepEqual(waits, [10_000, 20_000, 40_000, 80_000, 160_000, 300_000, 300_000, 300_000])
})

test('one that fails again soon after is ejected for longer, one that has been well for minutes is not', () => {
  const again = (later: number): number => {
    const one = ejected()
    one.note(one.admit(10_000), 'good', 10_000)
    attempts(one, 'hard', 5, 10_000 + later)
    return (one.until(10_000 + later) ?? 0) - 10_000 - later
  }
  assert.equal(again(1_000), 20_000)
  assert.equal(again(61_000), 10_000)
})

test('ejections are jittered by a fifth', () => {
  for (const [random, ms] of [
    [0, 8_000],
    [1, 12_000],
  ] as const) {
    const one = health(() => random, usualHealth)
    attempts(one, 'hard', 5, 0)
    assert.equal(Math.round(one.until(0) ?? 0), ms)
  }
})

// In a long outage all sidecars came back in the same moment: what was above the bound was cut down to it.
test('where the doubling has its bound they are still jittered', () => {
  for (const [random, ms] of [
    [0, 240_000],
    [1, 360_000],
  ] as const) {
    const one = health(() => random, usualHealth)
    attempts(one, 'hard', 5, 0)
    let now = 0
    for (let n = 0; n < 10; n++) {
      now = one.until(now) ?? now
      attempts(one, 'hard', 1, now)
    }
    assert.equal(Math.round((one.until(now) ?? 0) - now), ms)
  }
})

test('attempts from before the ejection neither end it nor prolong it', () => {
  const one = plain()
  const [early, late] = [one.admit(0), one.admit(0)]
  attempts(one, 'hard', 5, 0)
  one.note(early, 'good', 1_000)
  assert.equal(one.state(1_000), 'ejected')
  one.note(late, 'hard', 10_000)
  assert.equal(one.state(10_000), 'probation')
})

test('a call that was let through while it was out ends the ejection if it goes well, and changes nothing if not', () => {
  const one = ejected()
  one.note(one.admit(1_000), 'hard', 1_000)
  assert.equal(one.until(1_000), 10_000)
  one.note(one.admit(2_000), 'good', 2_000)
  assert.equal(one.state(2_000), 'slow_start')
})

test('the place on probation is free again should its call not be heard of for long', () => {
  const one = ejected()
  one.admit(10_000)
  assert.equal(one.usable(21_999), false)
  assert.equal(one.usable(22_000), true)
})

test('a limit lasts as long as the upstream says, and ends in a slow start', () => {
  const one = plain()
  one.note(one.admit(0), 'limited', 0, { hintMs: 7_000 })
  assert.equal(one.state(0), 'limited')
  assert.equal(one.usable(6_999), false)
  assert.equal(one.until(0), 7_000)
  assert.equal(one.state(7_000), 'slow_start')
  assert.equal(one.usable(7_000), true)
  assert.equal(one.ease(22_000), 0.5)
})

test('of two limits the later deadline counts', () => {
  const one = plain()
  one.note(one.admit(0), 'limited', 0, { hintMs: 30_000 })
  one.note(one.admit(0), 'limited', 1_000, { hintMs: 1_000 })
  assert.equal(one.until(1_000), 30_000)
})

test('without a hint it doubles each time it is reached again, and begins anew after a success', () => {
  const one = plain()
  const waits: number[] = []
  let now = 0
  for (let n = 0; n < 8; n++) {
    attempts(one, 'limited', 3, now)
    const until = one.until(now) ?? now
    waits.push(until - now)
    now = until
  }
  assert.deepEqual(waits, [2_000, 4_000, 8_000, 10_000, 10_000, 10_000, 10_000, 10_000])
  // What ends well so soon was let in before, and says nothing of the limit.
  attempts(one, 'good', 1, now)
  attempts(one, 'limited', 1, now)
  assert.equal(one.until(now), now + 10_000)
  now += 15_000
  attempts(one, 'good', 1, now)
  attempts(one, 'limited', 1, now)
  assert.equal(one.until(now), now + 2_000)
})

test('the guessed end of a limit is tried by one call a second, and believed after five', () => {
  const one = plain()
  one.note(one.admit(0), 'limited', 0)
  assert.deepEqual([one.usable(2_000), one.proven(2_000)], [true, false])
  one.admit(2_000)
  assert.deepEqual([one.usable(2_999), one.state(2_999), one.until(2_999)], [false, 'limited', 3_000])
  assert.deepEqual([one.usable(3_000), one.proven(3_000)], [true, false])
  one.admit(6_500)
  assert.deepEqual([one.usable(6_999), one.usable(7_000), one.proven(7_000)], [false, true, true])
})

test('the end that an upstream told is believed at once', () => {
  const one = plain()
  one.note(one.admit(0), 'limited', 0, { hintMs: 2_000 })
  one.admit(2_000)
  assert.deepEqual([one.usable(2_001), one.proven(2_001)], [true, true])
})

test('a hint of a day is believed for five minutes', () => {
  const one = plain()
  one.note(one.admit(0), 'limited', 0, { hintMs: 86_400_000 })
  assert.equal(one.until(0), 300_000)
})

test('an upstream that throttles is well: no number of limits ejects it', () => {
  const one = plain()
  attempts(one, 'limited', 50, 0)
  attempts(one, 'brief', 50, 0)
  assert.equal(one.state(0), 'limited')
  assert.equal(one.state(10_000), 'slow_start')
})

test('overload of a moment is a limit of two to five seconds', () => {
  for (const random of [0, 0.5, 1]) {
    const one = health(() => random, usualHealth)
    attempts(one, 'brief', 3, 0)
    assert.equal(one.until(0), 2_000 + random * 3_000)
  }
})

test('an account without money is tried again after five minutes, then ten, up to an hour', () => {
  const one = plain()
  const waits: number[] = []
  let now = 0
  for (let n = 0; n < 6; n++) {
    one.note(one.admit(now), 'exhausted', now)
    assert.equal(one.state(now), 'exhausted')
    const until = one.until(now) ?? now
    waits.push((until - now) / 60_000)
    now = until
    assert.equal(one.state(now), 'probation')
  }
  assert.deepEqual(waits, [5, 10, 20, 40, 60, 60])
})

test('many calls that hit the end of the money together count once', () => {
  const one = plain()
  const passes = Array.from({ length: 10 }, () => one.admit(0))
  for (const pass of passes) one.note(pass, 'exhausted', 0)
  assert.equal(one.until(0), 300_000)
})

test('a refused key is tried again after a minute, or at once when it has changed', () => {
  const one = plain()
  const old = one.admit(0)
  one.note(one.admit(0), 'auth', 0)
  assert.equal(one.state(0), 'auth_failed')
  assert.equal(one.until(0), 60_000)
  one.credentialChanged()
  assert.equal(one.state(1), 'healthy')
  one.note(old, 'auth', 2)
  assert.equal(one.state(2), 'healthy', 'the old key is still being refused')
})

test('a key that changes before its refusal is heard of is not held against the new one', () => {
  const one = plain()
  const old = one.admit(0)
  one.credentialChanged()
  one.note(old, 'auth', 1)
  assert.equal(one.state(1), 'healthy')
})

test('a new key brings no ejected upstream back', () => {
  const one = ejected()
  one.credentialChanged()
  assert.equal(one.state(1), 'ejected')
})

test('a reset forgets everything', () => {
  for (const effect of ['hard', 'limited', 'exhausted', 'auth'] as const) {
    const one = plain()
    const old = one.admit(0)
    attempts(one, effect, 5, 0)
    one.reset()
    assert.equal(one.state(0), 'healthy')
    one.note(old, 'hard', 0)
    attempts(one, 'hard', 4, 0)
    assert.equal(one.state(0), 'healthy')
  }
})

test('whatever happens, it is usable again within an hour, and on probation to one call at a time', () => {
  const effect = fc.constantFrom<Effect>('good', 'none', 'soft', 'hard', 'limited', 'brief', 'exhausted', 'auth')
  const step = fc.record({ effect, later: fc.nat(400_000), hintMs: fc.option(fc.nat(1e9), { nil: undefined }), released: fc.boolean() })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.infiniteStream(fc.double({ min: 0, max: 0.999, noNaN: true })), (steps, stream) => {
      const one = health(() => stream.next().value ?? 0, usualHealth)
      let now = 0
      for (const { effect: what, later, hintMs, released } of steps) {
        now += later
        if (one.state(now) === 'probation' && one.usable(now)) {
          const pass = one.admit(now)
          assert.equal(one.usable(now), false)
          if (released) one.release(pass)
          else one.note(pass, what, now, { hintMs })
        } else one.note(one.admit(now), what, now, { hintMs })
        assert.ok(one.ease(now) >= 0.1 && one.ease(now) <= 1)
        assert.equal(one.usable(now), ['healthy', 'slow_start', 'probation'].includes(one.state(now)))
      }
      assert.equal(one.usable(now + 3_600_000), true)
    }),
    { numRuns: 2_000 },
  )
})
