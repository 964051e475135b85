import assert from 'node:assert/strict'
import { test } from 'node:test'
import { patientSettings } from '../../fixtures/brokenStreams.ts'
import { fails, good, triedOf } from '../../fixtures/failing.ts'
import { answers, blackhole, deaf, stall, stallAfterHead } from '../../fixtures/provider.ts'
import { ask, askedOf, startUpstreams } from '../../fixtures/startUpstreams.ts'

const soon = { timeouts: { firstEvent: '300ms' } }

fails('a port that takes connections and says nothing', {
  at: (t) => blackhole(t),
  stream: true,
  document: soon,
  outcome: 'first_event_timeout',
  attempts: 1,
  kind: 'first_event_timeout',
})
fails('an upstream that takes a call and says nothing', {
  step: stall(),
  stream: true,
  document: soon,
  outcome: 'first_event_timeout',
  attempts: 1,
  kind: 'first_event_timeout',
})
fails('a head with nothing behind it', {
  step: stallAfterHead(),
  stream: true,
  document: soon,
  outcome: 'first_event_timeout',
  attempts: 1,
  kind: 'first_event_timeout',
})
fails('the head of an answer that is no stream with nothing behind it', {
  step: stallAfterHead({ 'content-type': 'application/json', 'content-length': '100' }),
  document: { timeouts: { idle: '300ms' } },
  outcome: 'idle_timeout',
  attempts: 1,
  kind: 'idle_timeout',
  breaks: true,
})

test('what is no stream may think for as long as the whole call may take, and then nobody else has the time', async (t) => {
  const { sidecar, providers } = await startUpstreams(t, [stall(), []], { timeouts: { total: '200ms' } })
  const told = await ask(sidecar)
  assert.deepEqual([told.status, told.headers.get('x-outrider-error')], [504, 'total_timeout'])
  assert.deepEqual(askedOf(providers), [1, 0])
  assert.deepEqual(await triedOf(sidecar), [['a', 'total_timeout']])
})

test('a large body that the upstream does not take is given to another, byte for byte', async (t) => {
  const { sidecar, providers } = await startUpstreams(t, [deaf(), good], { timeouts: { write: '1s' }, limits: { replayBody: '64MiB' } })
  const pad = 'ü'.repeat(8_000_000)
  const told = await ask(sidecar, { pad })
  assert.equal(told.status, 200)
  assert.deepEqual(askedOf(providers), [1, 1])
  assert.equal(providers[1]?.seen[0]?.body.toString(), JSON.stringify({ model: 'm', messages: [], pad }))
  assert.deepEqual(await triedOf(sidecar), [
    ['a', 'write_timeout'],
    ['b', 200],
  ])
})

test('one that went silent is not asked again, however often another is', async (t) => {
  const retry = { ...patientSettings.retry, attempts: 5 }
  const { sidecar, providers } = await startUpstreams(t, [answers(503), stall()], {
    ...patientSettings,
    retry,
    timeouts: { firstEvent: '200ms' },
  })
  assert.equal((await ask(sidecar, { stream: true })).status, 503)
  assert.deepEqual(askedOf(providers), [4, 1])
})
