import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { healthOf, metric, triedOf } from '../../fixtures/failing.ts'
import { answers, chat, type Step } from '../../fixtures/provider.ts'
import { ask, askedOf, startUpstreams } from '../../fixtures/startUpstreams.ts'

suite(
  'a prompt that is refused for its content is the answer, at no other upstream and with no harm to the first',
  { concurrency: true },
  () => {
    for (const [status, body] of [
      [400, { error: { message: 'Your request was rejected by our safety system', code: 'content_policy_violation' } }],
      [400, { error: { message: 'The response was filtered by the content management policy', code: 'content_filter' } }],
      [403, { error: { message: 'Your prompt was flagged', type: 'invalid_request_error' } }],
    ] as const) {
      test(JSON.stringify(body), async (t) => {
        const { sidecar, providers } = await startUpstreams(t, [answers(status, body), []])
        const told = await ask(sidecar)
        assert.deepEqual([told.status, told.text, told.headers.get('x-should-retry')], [status, JSON.stringify(body), null])
        assert.deepEqual(askedOf(providers), [1, 0])
        assert.deepEqual(await triedOf(sidecar), [['a', status]])
        assert.equal((await healthOf(sidecar))[0]?.last_failure, undefined)
      })
    }
  },
)

const refused = answers(400, { error: { message: 'no', code: 'content_policy_violation' } })

/** Refuses the model that is asked for, and what else is scripted for the other. */
const but =
  (spare: Step): Step =>
  async (exchange) => {
    const { model } = JSON.parse((await exchange.body).toString()) as { model: string }
    await (model === 'spare' ? spare : refused)(exchange)
  }

suite('another model takes over where the chain says so, and only there', { concurrency: true }, () => {
  const routing = { fallbacks: [{ model: 'spare', on: ['content_policy'] }] }
  test('and the answer says which', async (t) => {
    const { sidecar, providers } = await startUpstreams(t, [but(chat('from spare'))], { routing })
    const told = await ask(sidecar)
    assert.match(told.text, /from spare/)
    assert.deepEqual([told.headers.get('x-outrider-model'), told.headers.get('x-outrider-attempts')], ['spare', '2'])
    assert.deepEqual(askedOf(providers), [2])
    assert.equal(await metric(sidecar, 'outrider_attempts_total{upstream="a"}'), 2)
  })
  test('and where that refuses too, its answer is the answer', async (t) => {
    const { sidecar, providers } = await startUpstreams(t, [but(refused)], { routing })
    const told = await ask(sidecar)
    assert.deepEqual([told.status, told.text], [400, JSON.stringify({ error: { message: 'no', code: 'content_policy_violation' } })])
    assert.deepEqual(askedOf(providers), [2])
  })
  test('but not for another reason', async (t) => {
    const other = { fallbacks: [{ model: 'spare', on: ['rate_limited'] }] }
    const { sidecar, providers } = await startUpstreams(t, [but(chat('from spare'))], { routing: other })
    assert.equal((await ask(sidecar)).status, 400)
    assert.deepEqual(askedOf(providers), [1])
  })
})
