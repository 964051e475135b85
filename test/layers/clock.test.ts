import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { wheel, type Alarm, type Clock, type Pendulum } from '../../sidecar/proxy/clock.ts'

/** Rings may come this much late: one tick, and what a timer of Node rounds. */
const lateMs = 52

/** Time that passes only when it is told to. */
function byHand(): Pendulum & { pass: (ms: number) => void; woken: () => number } {
  let time = 1_000.25
  let wakes = 0
  const sleeping = new Set<{ at: number; call: () => void }>()
  return {
    now: () => time,
    wake: (ms, call) => {
      const sleeper = { at: time + ms, call }
      sleeping.add(sleeper)
      return () => {
        sleeping.delete(sleeper)
      }
    },
    pass: (ms) => {
      const until = time + ms
      for (;;) {
        const next = [...sleeping].toSorted((one, other) => one.at - other.at)[0]
        if (next === undefined || next.at > until) break
        sleeping.delete(next)
        time = Math.max(time, next.at)
        wakes++
        next.call()
      }
      time = until
    },
    woken: () => wakes,
  }
}

test('an alarm rings once, not before its time and at most a tick after it', () => {
  const time = byHand()
  const clock = wheel(time)
  const rung: number[] = []
  const began = time.now()
  clock.set(150, () => rung.push(time.now() - began))
  time.pass(149)
  assert.deepEqual(rung, [])
  time.pass(10_000)
  assert.equal(rung.length, 1)
  assert.ok((rung[0] ?? 0) >= 150 && (rung[0] ?? 0) <= 150 + lateMs)
  assert.equal(clock.pending(), 0)
})

test('an alarm set by a ring, far in the future, does not keep nearer ones from ringing', () => {
  const time = byHand()
  const clock = wheel(time)
  const rung: string[] = []
  clock.set(100, () => {
    rung.push('first')
    clock.set(600_000, () => rung.push('far'))
  })
  clock.set(200, () => rung.push('second'))
  time.pass(300)
  assert.deepEqual(rung, ['first', 'second'])
  time.pass(600_000)
  assert.deepEqual(rung, ['first', 'second', 'far'])
})

test('an alarm that is put off far does not keep nearer ones from ringing', () => {
  const time = byHand()
  const clock = wheel(time)
  const rung: string[] = []
  const moved = clock.set(100, () => rung.push('moved'))
  clock.set(200, () => rung.push('second'))
  clock.putOff(moved, 120_000)
  time.pass(300)
  assert.deepEqual(rung, ['second'])
  time.pass(119_000)
  assert.deepEqual(rung, ['second'])
  time.pass(1_000)
  assert.deepEqual(rung, ['second', 'moved'])
})

test('waits of many turns of the wheel, and of more than a timer of Node takes, ring in their time', () => {
  const time = byHand()
  const clock = wheel(time)
  const rung: string[] = []
  clock.set(3_600_000, () => rung.push('an hour'))
  clock.set(26 * 86_400_000, () => rung.push('twenty-six days'))
  time.pass(3_599_000)
  assert.deepEqual(rung, [])
  time.pass(1_100)
  assert.deepEqual(rung, ['an hour'])
  time.pass(25 * 86_400_000)
  assert.deepEqual(rung, ['an hour'])
  time.pass(86_400_000)
  assert.deepEqual(rung, ['an hour', 'twenty-six days'])
})

test('nobody is woken when nothing waits, and hardly ever for one long wait that is put off again and again', () => {
  const time = byHand()
  const clock = wheel(time)
  const alarm = clock.set(60_000, () => {})
  for (let n = 0; n < 10_000; n++) {
    time.pass(10)
    clock.putOff(alarm, 60_000)
  }
  assert.ok(time.woken() <= 5, `woken ${time.woken()} times in 100 s`)
  clock.clear(alarm)
  time.pass(100_000)
  const before = time.woken()
  time.pass(1_000_000)
  assert.equal(time.woken(), before)
})

test('a defect in one ring does not silence the others', () => {
  const time = byHand()
  const clock = wheel(time)
  const rung: string[] = []
  clock.set(100, () => {
    throw new Error('a defect')
  })
  clock.set(100, () => rung.push('same tick'))
  clock.set(200, () => rung.push('later'))
  assert.throws(() => {
    time.pass(1_000)
  }, /a defect/)
  time.pass(1_000)
  assert.deepEqual(rung.toSorted(), ['later', 'same tick'])
  assert.equal(clock.pending(), 0)
})

test('with the timers of Node an alarm rings too, after those that were due before it', async () => {
  const clock = wheel()
  const order = await new Promise<string[]>((done) => {
    const rung: string[] = []
    clock.set(120, () => {
      rung.push('late')
      done(rung)
    })
    clock.set(1, () => rung.push('early'))
    // An alarm alone keeps no process alive; the test has to.
    const alive = setInterval(() => {
      if (clock.pending() === 0) clearInterval(alive)
    }, 20)
  })
  assert.deepEqual(order, ['early', 'late'])
})

interface Expected {
  alarm: Alarm
  due: number
  rung: number
  cleared: boolean
}

type Step = { do: 'set'; ms: number } | { do: 'clear' | 'putOff' | 'setInRing'; at: number; ms: number } | { do: 'pass'; ms: number }

const wait = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: 0, max: 3_000 }) },
  { weight: 1, arbitrary: fc.integer({ min: 0, max: 200_000 }) },
)
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ do: fc.constant('set' as const), ms: wait }),
  fc.record({ do: fc.constantFrom('clear' as const, 'putOff' as const, 'setInRing' as const), at: fc.nat(20), ms: wait }),
  fc.record({ do: fc.constant('pass' as const), ms: wait }),
)

function play(steps: readonly Step[]): void {
  const time = byHand()
  const clock: Clock = wheel(time)
  const all: Expected[] = []
  const add = (ms: number, inRing?: number): void => {
    const one: Expected = {
      due: time.now() + ms,
      rung: 0,
      cleared: false,
      alarm: clock.set(ms, () => {
        assert.ok(!one.cleared, 'rang after it was cleared')
        assert.ok(time.now() >= one.due, `rang ${one.due - time.now()} ms early`)
        assert.ok(time.now() - one.due <= lateMs, `rang ${time.now() - one.due} ms late`)
        one.rung++
        if (inRing !== undefined) add(inRing)
      }),
    }
    all.push(one)
  }
  for (const { do: what, ms, ...rest } of steps) {
    const chosen = 'at' in rest ? all[rest.at % Math.max(1, all.length)] : undefined
    if (what === 'set') add(ms)
    else if (what === 'setInRing') add(ms, ms * 7)
    else if (what === 'pass') time.pass(ms)
    else if (chosen !== undefined && what === 'clear') {
      clock.clear(chosen.alarm)
      if (chosen.rung === 0) chosen.cleared = true
    } else if (chosen !== undefined && chosen.rung === 0 && !chosen.cleared) {
      // Only ever further away: that is what the wheel promises.
      const further = Math.max(ms, chosen.due - time.now())
      clock.putOff(chosen.alarm, further)
      chosen.due = time.now() + further
    }
    assert.equal(clock.pending(), all.filter(({ rung, cleared }) => rung === 0 && !cleared).length)
  }
  time.pass(3_000_000)
  for (const { rung, cleared } of all) assert.equal(rung, cleared ? 0 : 1)
  assert.equal(clock.pending(), 0)
}

test('whatever is set, cleared, put off and set in a ring: each alarm rings once and in time, and a cleared one never', () => {
  fc.assert(fc.property(fc.array(step, { maxLength: 60 }), play), { numRuns: 1_000 })
})
