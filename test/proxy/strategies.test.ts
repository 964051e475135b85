import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { chat, type Step } from '../fixtures/provider.ts'
import type { Document } from '../fixtures/startSidecar.ts'
import { ask, askedOf, startUpstreams, type Told } from '../fixtures/startUpstreams.ts'

const oneTier = [{ tier: 1 }, { tier: 1 }]

/** Two upstreams of one tier that answer `m` at once, and `slow` when the test ends; one of them is at work on a long prompt already. */
async function oneBusy(t: TestContext, document: Document) {
  const over = Promise.withResolvers<void>()
  let arrived = Promise.withResolvers<void>()
  const step: Step = async (exchange) => {
    const { model } = JSON.parse((await exchange.body).toString()) as { model: string }
    if (model === 'slow') {
      arrived.resolve()
      await over.promise
    }
    await chat('done')(exchange)
  }
  const { sidecar, providers } = await startUpstreams(t, [step, step], document, oneTier)
  const held: Promise<Told>[] = []
  const hold = async (text: string): Promise<void> => {
    arrived = Promise.withResolvers()
    held.push(ask(sidecar, { model: 'slow', messages: [{ role: 'user', content: text }] }))
    await arrived.promise
  }
  await hold('x'.repeat(40_000))
  const busy = askedOf(providers).indexOf(1)
  return {
    sidecar,
    hold,
    /** How often the busy one has been asked since, and the other. */
    since: () => [(askedOf(providers)[busy] ?? 0) - 1, askedOf(providers)[1 - busy]],
    end: async () => {
      over.resolve()
      for (const { status } of await Promise.all(held)) assert.equal(status, 200)
    },
  }
}

test('with least_connections calls go where fewest are under way, however large they are', async (t) => {
  const { sidecar, hold, since, end } = await oneBusy(t, { routing: { strategy: 'least_connections' } })
  for (let n = 0; n < 4; n++) await ask(sidecar)
  assert.deepEqual(since(), [0, 4])
  for (let n = 0; n < 3; n++) await hold('short')
  assert.deepEqual(since(), [1, 6])
  await end()
})

test('with least_tokens they go where the fewest tokens are under way, in however many calls', async (t) => {
  const { hold, since, end } = await oneBusy(t, { routing: { strategy: 'least_tokens' } })
  for (let n = 0; n < 5; n++) await hold('short')
  assert.deepEqual(since(), [0, 5])
  await end()
})

test('the strategy of a route goes before that of all', async (t) => {
  const { sidecar, since, end } = await oneBusy(t, {
    routing: { strategy: 'least_connections' },
    routes: [{ name: 'turns', models: ['in-turns'], strategy: 'round_robin' }],
  })
  for (let n = 0; n < 4; n++) await ask(sidecar, { model: 'in-turns' })
  assert.deepEqual(since(), [2, 2])
  await end()
})
