import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Call, Reply } from '../../sidecar/proxy/call.ts'
import type { Alarm, Clock } from '../../sidecar/proxy/clock.ts'
import { deadline } from '../../sidecar/proxy/layers/deadline.ts'
import { finish, newLife } from '../../sidecar/proxy/life.ts'
import { aCall, aReply } from '../fixtures/calls.ts'

/** Time that passes when told to; rings in order. */
function byHand(): Clock & { pass: (ms: number) => void } {
  let time = 0
  const set = new Set<Alarm>()
  return {
    now: () => time,
    set: (ms, ring) => {
      const alarm: Alarm = { due: time + ms, slot: 0, ring, before: undefined, after: undefined }
      set.add(alarm)
      return alarm
    },
    putOff: (alarm, ms) => {
      alarm.due = time + ms
    },
    clear: (alarm) => {
      if (alarm !== undefined) set.delete(alarm)
    },
    pending: () => set.size,
    pass: (ms) => {
      const until = time + ms
      for (;;) {
        const [next] = [...set].filter(({ due }) => due <= until).toSorted((one, other) => one.due - other.due)
        if (next === undefined) break
        set.delete(next)
        time = next.due
        next.ring?.()
      }
      time = until
    },
  }
}

/** How long the layer lets a call wait, to the millisecond. */
async function waits(how: { stream?: boolean; timeoutMs?: number; readTimeoutMs?: number; total?: number; streamTotal?: number }) {
  const clock = byHand()
  const { stream = false, timeoutMs = 0, readTimeoutMs = 0, total = 600_000, streamTotal = 3_600_000 } = how
  const wishes = { contentType: '', key: undefined, timeoutMs, readTimeoutMs, retries: 0, upstream: '', model: '' }
  const call = aCall({ wishes, life: newLife(), facts: { beganMs: 0 } })
  const layer = deadline({ clock, totalMs: total, streamTotalMs: streamTotal })
  // That the call is a stream is read out of its body, below this layer.
  await layer(async (below: Call): Promise<Reply> => {
    below.facts.stream = stream
    return aReply()
  })(call)
  for (let waited = 0; waited < 1e7; waited += 1_000) {
    if (call.life.cancelled !== undefined) {
      assert.equal(call.life.cancelled.kind, 'total_timeout')
      finish(call.life, call.life.cancelled)
      assert.equal(clock.pending(), 0)
      return waited
    }
    clock.pass(1_000)
  }
  return Infinity
}

test('a call is ended when its total time is over, a stream when the longer one of streams is', async () => {
  assert.equal(await waits({}), 600_000)
  assert.equal(await waits({ stream: true }), 3_600_000)
})

test('the total of streams holds when it is the shorter one', async () => {
  assert.equal(await waits({ stream: true, streamTotal: 5_000 }), 5_000)
  assert.equal(await waits({ streamTotal: 5_000 }), 600_000)
})

test('the timeout a client names shortens its call, and lengthens none', async () => {
  assert.equal(await waits({ timeoutMs: 30_000 }), 30_000)
  assert.equal(await waits({ readTimeoutMs: 20_000 }), 20_000)
  assert.equal(await waits({ timeoutMs: 30_000, readTimeoutMs: 20_000 }), 20_000)
  assert.equal(await waits({ timeoutMs: 1_000_000 }), 600_000)
})

test('the timeout a client names does not cut a stream that flows', async () => {
  assert.equal(await waits({ stream: true, timeoutMs: 30_000, readTimeoutMs: 20_000 }), 3_600_000)
})

test('a call that is over leaves no alarm', async () => {
  const clock = byHand()
  const call = aCall()
  await deadline({ clock, totalMs: 1_000, streamTotalMs: 2_000 })(async () => aReply())(call)
  assert.equal(clock.pending(), 1)
  finish(call.life, undefined)
  assert.equal(clock.pending(), 0)
})
