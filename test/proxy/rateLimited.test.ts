import assert from 'node:assert/strict'
import { test } from 'node:test'
import { answers, chat } from '../fixtures/provider.ts'
import { ask, askedOf, served, startUpstreams } from '../fixtures/startUpstreams.ts'

test('an upstream that asks for patience is left alone for that time, and another serves', async (t) => {
  const { sidecar, providers } = await startUpstreams(t, [answers(429, {}, { 'retry-after': '30' }), chat('b')])
  assert.deepEqual(served(await ask(sidecar)), ['b', '2'])
  for (let n = 0; n < 5; n++) assert.deepEqual(served(await ask(sidecar)), ['b', '1'])
  assert.deepEqual(askedOf(providers), [1, 6])
  await sidecar.logged('upstream a is limited for 30.0 s: status 429')
  const { upstreams } = (await (await fetch(`${sidecar.origin}/health`)).json()) as {
    upstreams: { name: string; status: string; state: string }[]
  }
  assert.deepEqual([upstreams[0]?.status, upstreams[0]?.state], ['degraded', 'limited'])
})

test('limits are about one model of an upstream: its others are served', async (t) => {
  const { sidecar } = await startUpstreams(t, [[answers(429, {}, { 'retry-after': '30' }), chat('a')], chat('b')])
  assert.deepEqual(served(await ask(sidecar, { model: 'one' })), ['b', '2'])
  assert.deepEqual(served(await ask(sidecar, { model: 'two' })), ['a', '1'])
})

test('with nobody else, a short wait is waited and the call is repeated not before it is over', async (t) => {
  const { sidecar, providers } = await startUpstreams(t, [[answers(429, {}, { 'retry-after-ms': '300' }), chat('a')]])
  const told = await ask(sidecar)
  assert.deepEqual([told.status, ...served(told)], [200, 'a', '2'])
  const [first, second] = providers[0]?.seen ?? []
  assert.ok((second?.at ?? 0) - (first?.at ?? 0) >= 295)
})

test('a long wait is not waited: the answer is passed on with its hint', async (t) => {
  const { sidecar, providers } = await startUpstreams(t, [answers(429, { error: { message: 'no' } }, { 'retry-after': '60' })])
  const told = await ask(sidecar)
  assert.deepEqual([told.status, told.headers.get('retry-after'), told.text], [429, '60', '{"error":{"message":"no"}}'])
  assert.deepEqual(askedOf(providers), [1])
})

test('a client that leaves during the wait is not called for any more', async (t) => {
  const { sidecar, providers } = await startUpstreams(t, [answers(429, {}, { 'retry-after': '8' })])
  const leaving = new AbortController()
  const asked = fetch(`${sidecar.url}/chat/completions`, {
    method: 'POST',
    body: '{"model":"m"}',
    headers: { 'content-type': 'application/json' },
    signal: leaving.signal,
  })
  await providers[0]?.request(0)
  await providers[0]?.seen[0]?.closed
  leaving.abort()
  await assert.rejects(asked)
  assert.equal((await sidecar.callLine(0))['error'], 'client_gone')
  assert.deepEqual(askedOf(providers), [1])
})

test('when all are limited for longer than a call may wait, the least bad one is asked once', async (t) => {
  const { sidecar, providers } = await startUpstreams(t, [
    answers(429, {}, { 'retry-after': '60' }),
    answers(429, {}, { 'retry-after': '40' }),
  ])
  assert.deepEqual(served(await ask(sidecar)), ['b', '2'])
  assert.deepEqual(served(await ask(sidecar)), ['b', '1'])
  assert.deepEqual(askedOf(providers), [1, 2])
})

test('when all are limited for a short time, calls wait for the first that is free again, and ask nobody before', async (t) => {
  const { sidecar, providers } = await startUpstreams(t, [
    answers(429, {}, { 'retry-after': '60' }),
    [answers(429, {}, { 'retry-after-ms': '600' }), chat('b'), chat('b')],
  ])
  const first = ask(sidecar)
  await sidecar.logged('upstream b is limited')
  const told = [await ask(sidecar), await first]
  assert.deepEqual(
    told.map(({ status }) => status),
    [200, 200],
  )
  const [refused, ...rest] = providers[1]?.seen ?? []
  assert.equal(rest.length, 2)
  for (const { at } of rest) assert.ok(at - (refused?.at ?? 0) >= 595)
})

test('a call does not wait for an upstream over its limit where another model can be asked', async (t) => {
  const { sidecar, providers } = await startUpstreams(
    t,
    [[answers(429, {}, { 'retry-after': '20' }), chat('of the other')], [answers(429, {}, { 'retry-after': '20' })]],
    { routing: { fallbacks: [{ model: 'other' }] } },
  )
  const told = await ask(sidecar)
  assert.deepEqual([told.status, told.headers.get('x-outrider-model')], [200, 'other'])
  assert.deepEqual(askedOf(providers), [2, 1])
})
