import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Call } from '../../sidecar/proxy/call.ts'
import { SidecarError } from '../../sidecar/proxy/errors.ts'
import { measure } from '../../sidecar/proxy/layers/measure.ts'
import { finish } from '../../sidecar/proxy/life.ts'
import { aCall, aReply, script } from '../fixtures/calls.ts'

test('reports a call once, when it is over, however it ends', async () => {
  const reported: Call[] = []
  const handle = measure(
    (call) => reported.push(call),
    () => 7,
  )(script(aReply(), aReply(), new Error('failed')))
  const whole = aCall()
  await handle(whole)
  assert.equal(reported.length, 0, 'the head is not the end')
  finish(whole.life, undefined)
  finish(whole.life, undefined)
  assert.deepEqual(reported, [whole])
  assert.equal(whole.facts.overMs, 7)
  const gone = aCall()
  await handle(gone)
  finish(gone.life, new SidecarError('client_gone', 'gone'))
  const failed = aCall()
  await assert.rejects(handle(failed))
  finish(failed.life, undefined)
  assert.deepEqual(reported, [whole, gone, failed])
})
