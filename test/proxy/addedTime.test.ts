import assert from 'node:assert/strict'
import { test } from 'node:test'
import { addedMs } from '../../sidecar/observe/metrics.ts'
import { aCall } from '../fixtures/calls.ts'
import { answers, stall } from '../fixtures/provider.ts'
import { ask, startUpstreams } from '../fixtures/startUpstreams.ts'

const facts = { beganMs: 1_000, headMs: 1_010, ownMs: 4, overMs: 1_014 }

test('what lies between the end of an answer and its first byte to the client is counted once', () => {
  // Own are 2 ms in front of the attempt, and 2 from the head to the first byte.
  const call = aCall({ facts: { ...facts, endedMs: 1_011, firstByteMs: 1_012 } })
  assert.equal(addedMs(call.facts), 6)
})

test('what comes behind the end of a stream is counted from there', () => {
  const call = aCall({ facts: { ...facts, firstByteMs: 1_011, endedMs: 1_013 } })
  assert.equal(addedMs(call.facts), 5)
})

test('an answer that never ended has nothing behind its end, whatever an attempt before it said', () => {
  const call = aCall({ facts: { ...facts, firstByteMs: 1_011, endedMs: 1_005 } })
  assert.equal(addedMs(call.facts), 4)
})

test('the time of an attempt without an answer is not ours, also behind one that had an answer', async (t) => {
  const { sidecar } = await startUpstreams(t, [answers(500), stall()], { timeouts: { firstEvent: '300ms' }, retry: { attempts: 2 } })
  assert.equal((await ask(sidecar, { stream: true })).status, 504)
  const line = await sidecar.callLine(0)
  const [total, added] = [Number(line['total_ms']), Number(line['added_ms'])]
  assert.ok(total >= 300 && added < total - 250, `${added} of ${total}`)
})
