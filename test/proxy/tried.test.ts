import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { good, isGood } from '../fixtures/failing.ts'
import { answers, chat, hangUp, type Step } from '../fixtures/provider.ts'
import type { Sidecar } from '../fixtures/startSidecar.ts'
import { ask, startUpstreams } from '../fixtures/startUpstreams.ts'

// Attempts at one upstream with two keys, or for two models, all looked alike in the log.

const keys = { first: { value: 'sk-test-first' }, second: { value: 'sk-test-second' } }
const bothKeys = { credential: undefined, credentials: ['first', 'second'] }

const triedIn = async (sidecar: Sidecar): Promise<object[] | undefined> => {
  const { tried } = (await sidecar.callLine(0)) as { tried?: { ms: number }[] }
  return tried?.map(({ ms, ...rest }) => {
    assert.equal(typeof ms, 'number')
    return rest
  })
}

/** Answers by the model that is asked for. */
const byModel =
  (steps: Readonly<Record<string, Step>>): Step =>
  async (exchange) => {
    const { model } = JSON.parse((await exchange.body).toString()) as { model: string }
    await (steps[model] ?? answers(404))(exchange)
  }

suite('of several attempts the log says', { concurrency: true }, () => {
  test('whose key each of them used, where the upstream has several, and never the key', async (t) => {
    const document = { credentials: { ...keys, fake: { value: 'sk-test-fake' } }, routing: { strategy: 'round_robin' } }
    const { sidecar } = await startUpstreams(t, [[answers(401), answers(429)], good], document, [bothKeys])
    isGood(await ask(sidecar))
    const tried = await triedIn(sidecar)
    assert.deepEqual(tried, [
      { upstream: 'a', account: 'first', outcome: 401 },
      { upstream: 'a', account: 'second', outcome: 429 },
      { upstream: 'b', outcome: 200 },
    ])
    assert.doesNotMatch(sidecar.log(), /sk-test/)
  })

  test('also of those that were not answered', async (t) => {
    const document = { credentials: keys, routing: { strategy: 'round_robin' }, retry: { attempts: 2 } }
    const { sidecar } = await startUpstreams(t, [[hangUp(), hangUp()]], document, [bothKeys])
    assert.equal((await ask(sidecar)).status, 502)
    assert.deepEqual(await triedIn(sidecar), [
      { upstream: 'a', account: 'first', outcome: 'no_reply' },
      { upstream: 'a', account: 'second', outcome: 'no_reply' },
    ])
  })

  test('what model each of them asked for, where that is not the one that the call names', async (t) => {
    const document = { routing: { fallbacks: [{ model: 'spare' }] }, retry: { attempts: 2 } }
    const { sidecar } = await startUpstreams(t, [byModel({ m: answers(500), 'vendor/spare': chat('from spare') })], document, [
      { modelNames: { spare: 'vendor/spare' } },
    ])
    assert.match((await ask(sidecar)).text, /from spare/)
    assert.deepEqual(await triedIn(sidecar), [
      { upstream: 'a', outcome: 500 },
      { upstream: 'a', model: 'vendor/spare', outcome: 200 },
    ])
  })
})

suite('of the only attempt it says what it always said', { concurrency: true }, () => {
  for (const [what, step, outcome] of [
    ['answered', good, 200],
    ['failed', hangUp(), 'no_reply'],
  ] as const) {
    test(what, async (t) => {
      const document = { credentials: keys, retry: { attempts: 1 }, routing: { aliases: { m: 'true-name' } } }
      const { sidecar } = await startUpstreams(t, [[step]], document, [bothKeys])
      await ask(sidecar)
      assert.deepEqual(await triedIn(sidecar), [{ upstream: 'a', outcome }])
    })
  }
})
