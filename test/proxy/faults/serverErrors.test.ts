import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { alone, bothFail, fails, good, isGood, metric, takenOver, triedOf } from '../../fixtures/failing.ts'
import { answers, chat, hangUp } from '../../fixtures/provider.ts'
import { ask, askedOf, served, startUpstreams } from '../../fixtures/startUpstreams.ts'

const error = (message: string): object => ({ error: { message, type: 'x', param: null, code: null } })

for (const status of [408, 409, 500, 502, 503, 504, 520, 522, 524]) {
  fails(String(status), { step: answers(status, error('no')), outcome: status, attempts: 3, status })
}

suite('529, by which an upstream says that it has too much to do', { concurrency: true }, () => {
  const failing = { step: answers(529, error('overloaded')), outcome: 529, state: 'limited', attempts: 1, status: 529 }
  test('another takes over while it is left alone for some seconds', (t) => takenOver(t, failing))
  const brief = { ...failing, step: answers(529, error('overloaded'), { 'retry-after-ms': '40' }), attempts: 3 }
  test('where both say so, the answer of the last is passed on', (t) => bothFail(t, brief))
  test('where nobody else is there, it is asked again when it may be', (t) => alone(t, brief))
})

test('one that says with a 503 when to come back is left alone until then, and nobody else waits', async (t) => {
  const { sidecar, providers } = await startUpstreams(t, [answers(503, error('busy'), { 'retry-after': '30' }), good])
  for (let n = 0; n < 3; n++) isGood(await ask(sidecar))
  assert.deepEqual(askedOf(providers), [1, 3])
  await sidecar.logged('upstream a is limited for 30.0 s: status 503')
})

test('the last of several failures is passed on as it is, and the client is told not to repeat it', async (t) => {
  const both = [answers(500, error('a')), answers(503, error('b'))]
  const { sidecar, providers } = await startUpstreams(t, both, { retry: { attempts: 2 } })
  const told = await ask(sidecar)
  assert.deepEqual([told.status, told.text], [503, JSON.stringify(error('b'))])
  assert.equal(told.headers.get('x-should-retry'), 'false')
  assert.equal(told.headers.get('x-outrider-not-repeated'), 'attempts')
  assert.deepEqual(served(told), ['b', String(askedOf(providers).reduce((one, other) => one + other))])
})

test('what the upstream itself says of repeating is passed on', async (t) => {
  const { sidecar } = await startUpstreams(t, [answers(500), answers(500, error('b'), { 'x-should-retry': 'true' })], {
    retry: { attempts: 2 },
  })
  assert.equal((await ask(sidecar)).headers.get('x-should-retry'), 'true')
})

test('the third of three answers when two have failed in different ways', async (t) => {
  const { sidecar, providers } = await startUpstreams(t, [answers(500), hangUp(), good])
  const told = await ask(sidecar)
  isGood(told)
  assert.deepEqual(served(told), ['c', '3'])
  assert.deepEqual(askedOf(providers), [1, 1, 1])
  assert.deepEqual(await triedOf(sidecar), [
    ['a', 500],
    ['b', 'no_reply'],
    ['c', 200],
  ])
})

test('with one upstream a failure is repeated there, at most so often as retry.attempts says', async (t) => {
  const { sidecar, providers } = await startUpstreams(t, [[answers(500), answers(500), chat('at last')]])
  const told = await ask(sidecar)
  assert.deepEqual([told.status, ...served(told)], [200, 'a', '3'])
  assert.deepEqual(askedOf(providers), [3])
})

test('in a storm of one upstream nobody notices anything, and after five failures it is asked no more', async (t) => {
  const { sidecar, providers } = await startUpstreams(t, [answers(500, error('storm')), good])
  for (let n = 0; n < 30; n++) isGood(await ask(sidecar))
  assert.deepEqual(askedOf(providers), [5, 30])
  assert.equal(sidecar.log().split('upstream a is ejected').length, 2, 'one line')
  assert.equal(await metric(sidecar, 'outrider_attempts_total{upstream="a"}'), 5)
  assert.equal(await metric(sidecar, 'outrider_upstream_state{upstream="a",state="ejected"}'), 1)
})

test('in a storm of all each is asked little more than once a call, and the answer of the last is passed on', async (t) => {
  const { sidecar, providers } = await startUpstreams(t, [answers(503), answers(503), answers(503)])
  const calls = 100
  for (let n = 0; n < calls; n++) assert.equal((await ask(sidecar)).status, 503)
  const all = askedOf(providers).reduce((one, other) => one + other)
  assert.ok(all <= calls * 1.25, `${all} attempts for ${calls} calls`)
})
