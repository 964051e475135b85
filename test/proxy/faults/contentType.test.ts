import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fails, good, healthOf, isGood } from '../../fixtures/failing.ts'
import { answers, paced } from '../../fixtures/provider.ts'
import { ask, askedOf, startUpstreams } from '../../fixtures/startUpstreams.ts'

const lie = { outcome: 'bad_reply', says: 'status 200, but no answer', attempts: 1, status: 200, passes: true } as const

// Where nobody could take over it passes as it is: some upstreams call their answers by a wrong name, and clients read them all the same.
fails('200 with a text that is no JSON', {
  step: answers(200, 'Service is starting', { 'content-type': 'text/plain' }),
  ...lie,
})
fails('200 with an image', { step: answers(200, Buffer.from([0x89, 0x50]), { 'content-type': 'image/png' }), ...lie })
fails('JSON in place of the stream that was asked for', { step: answers(200, { choices: [] }), stream: true, ...lie })

test('JSON in place of a stream that says why there is none is believed', async (t) => {
  const poor = answers(200, { error: { message: 'You exceeded your current quota', code: 'insufficient_quota' } })
  const { sidecar, providers } = await startUpstreams(t, [poor, good])
  for (let n = 0; n < 2; n++) isGood(await ask(sidecar, { stream: true }), true)
  assert.deepEqual(askedOf(providers), [1, 2])
  assert.equal((await healthOf(sidecar))[0]?.state, 'exhausted')
})

test('what is no stream where one was asked for is not waited for to its end', async (t) => {
  const endless = paced({ 'content-type': 'text/plain' })
  const { sidecar, providers } = await startUpstreams(t, [endless, good])
  const asked = ask(sidecar, { stream: true })
  await endless.sendBytes('Service is starting')
  isGood(await asked, true)
  assert.deepEqual(askedOf(providers), [1, 1])
})
