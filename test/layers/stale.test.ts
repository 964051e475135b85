import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Upload } from '../../sidecar/proxy/call.ts'
import { SidecarError } from '../../sidecar/proxy/errors.ts'
import { stale } from '../../sidecar/proxy/layers/stale.ts'
import { aCall, aReply, script } from '../fixtures/calls.ts'

const gone = (): SidecarError => new SidecarError('stale_connection', 'the upstream had closed a kept connection')

const anUpload = (untouched: boolean): Upload => ({
  length: 10,
  untouched: () => untouched,
  flow: () => ({ pause: () => {}, resume: () => {}, close: () => {} }),
})

test('a call that met a stale connection is sent once more, on a new one', async () => {
  const reply = aReply()
  const next = script(gone(), reply)
  assert.equal(await stale()(next)(aCall()), reply)
  assert.deepEqual(
    next.calls.map(({ fresh }) => fresh),
    [false, true],
  )
})

test('a second failure is the answer, whatever it is', async () => {
  const next = script(gone(), gone())
  await assert.rejects(stale()(next)(aCall()), { kind: 'stale_connection' })
  assert.equal(next.calls.length, 2)
})

test('no other failure is repeated here', async () => {
  const next = script(new SidecarError('no_reply', 'it may have worked on the call'))
  await assert.rejects(stale()(next)(aCall()), { kind: 'no_reply' })
  assert.equal(next.calls.length, 1)
})

test('an upload is repeated only while none of it has been sent', async () => {
  const begun = script(gone(), aReply())
  await assert.rejects(stale()(begun)(aCall({ body: anUpload(false) })), { kind: 'no_reply' })
  assert.equal(begun.calls.length, 1)
  const whole = script(gone(), aReply())
  await stale()(whole)(aCall({ body: anUpload(true) }))
  assert.equal(whole.calls.length, 2)
})
