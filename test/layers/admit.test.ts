import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SidecarError } from '../../sidecar/proxy/errors.ts'
import { admit, type Admission } from '../../sidecar/proxy/layers/admit.ts'
import { finish } from '../../sidecar/proxy/life.ts'
import { aCall, aReply, script } from '../fixtures/calls.ts'

const newAdmission = (): Admission => ({ inFlight: 0, seen: 0, lives: new Set(), closed: false })

const refusedAs = (kind: string) => (err: unknown) => err instanceof SidecarError && err.kind === kind && err.retryAfterMs === 1_000

test('sheds what is beyond the limit, without asking anyone, and says when to come back', async () => {
  const state = newAdmission()
  const next = script(aReply(), aReply())
  const handle = admit(2, state)(next)
  await handle(aCall())
  await handle(aCall())
  await assert.rejects(handle(aCall()), refusedAs('proxy_overloaded'))
  assert.equal(next.calls.length, 2)
  assert.deepEqual([state.inFlight, state.seen, state.lives.size], [2, 2, 2])
})

test('a slot is free again when the last byte has gone, not when the head has, and not when the handler fails', async () => {
  const state = newAdmission()
  const handle = admit(1, state)(script(aReply(), new Error('failed'), aReply()))
  const first = aCall()
  await handle(first)
  await assert.rejects(handle(aCall()), refusedAs('proxy_overloaded'))
  finish(first.life, undefined)
  assert.equal(state.inFlight, 0)
  const second = aCall()
  await assert.rejects(handle(second), /failed/)
  assert.equal(state.inFlight, 1, 'the error is still on its way to the client')
  finish(second.life, undefined)
  finish(second.life, undefined)
  assert.deepEqual([state.inFlight, state.lives.size], [0, 0])
  await handle(aCall())
})

test('near the end of the grace every call is turned away, and none is counted as seen', async () => {
  const state = newAdmission()
  state.closed = true
  await assert.rejects(admit(10, state)(script())(aCall()), refusedAs('draining'))
  assert.deepEqual([state.inFlight, state.seen], [0, 0])
})
