import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { healthOf, metric, triedOf } from '../../fixtures/failing.ts'
import { answers, chat, type Step } from '../../fixtures/provider.ts'
import { ask, askedOf, startUpstreams } from '../../fixtures/startUpstreams.ts'

suite(
  'a prompt that is too long for the model is the answer, at no other upstream and with no harm to the first',
  { concurrency: true },
  () => {
    for (const [status, body] of [
      [400, { error: { message: "This model's maximum context length is 8192 tokens", code: 'context_length_exceeded' } }],
      [400, { type: 'error', error: { type: 'invalid_request_error', message: 'prompt is too long: 210000 tokens > 200000 maximum' } }],
      [400, [{ error: { code: 400, status: 'INVALID_ARGUMENT', message: 'The input token count (1100000) exceeds the maximum' } }]],
      [413, { error: { message: 'Please reduce the length of the messages or completion', type: 'invalid_request_error' } }],
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

const refused = answers(400, { error: { message: 'too long', code: 'context_length_exceeded' } })

/** Refuses the model that is asked for, and what else is scripted for the other. */
const but =
  (spare: Step): Step =>
  async (exchange) => {
    const { model } = JSON.parse((await exchange.body).toString()) as { model: string }
    await (model === 'spare' ? spare : refused)(exchange)
  }

suite('another model takes over by the chain that names one for it', { concurrency: true }, () => {
  const routing = { fallbacks: [{ model: 'spare', on: ['context_window'] }] }
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
    assert.deepEqual([told.status, told.text], [400, JSON.stringify({ error: { message: 'too long', code: 'context_length_exceeded' } })])
    assert.deepEqual(askedOf(providers), [2])
  })
  test('but not for another reason', async (t) => {
    const other = { fallbacks: [{ model: 'spare', on: ['rate_limited'] }] }
    const { sidecar, providers } = await startUpstreams(t, [but(chat('from spare'))], { routing: other })
    assert.equal((await ask(sidecar)).status, 400)
    assert.deepEqual(askedOf(providers), [1])
  })
})
