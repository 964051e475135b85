import assert from 'node:assert/strict'
import { test } from 'node:test'
import { answers, chat } from '../fixtures/provider.ts'
import { ask, askedOf, startUpstreams } from '../fixtures/startUpstreams.ts'

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
