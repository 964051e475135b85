import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { healthOf, metric, triedOf } from '../../fixtures/failing.ts'
import { answers, chat, type Step } from '../../fixtures/provider.ts'
import { ask, askedOf, served, startUpstreams } from '../../fixtures/startUpstreams.ts'

const error = (message: string, code: string | null = null): object => ({
  error: { message, type: 'invalid_request_error', param: null, code },
})
const tooLong = error("This model's maximum context length is 8192 tokens", 'context_length_exceeded')
const policy = error('Your request was rejected by our safety system', 'content_policy_violation')

suite('an answer to what the client did wrong is the answer, and no failure of the upstream', { concurrency: true }, () => {
  for (const [status, body] of [
    [400, error('bad value')],
    [400, tooLong],
    [400, error('prompt is too long: 210000 tokens > 200000 maximum')],
    [400, policy],
    [403, error('Your prompt was flagged')],
    [404, error('no such thing')],
    [413, error('too large')],
    [422, error('cannot be processed')],
    [501, error('not implemented')],
  ] as const) {
    test(`${status}: ${JSON.stringify(body)}`, async (t) => {
      const { sidecar, providers } = await startUpstreams(t, [answers(status, body), []])
      const told = await ask(sidecar)
      assert.deepEqual([told.status, told.text], [status, JSON.stringify(body)])
      assert.deepEqual([told.headers.get('x-should-retry'), told.headers.get('x-outrider-not-repeated')], [null, null])
      assert.deepEqual(askedOf(providers), [1, 0])
      assert.deepEqual(await triedOf(sidecar), [['a', status]])
      assert.equal((await healthOf(sidecar))[0]?.last_failure, undefined)
    })
  }
})

const byModel =
  (steps: Readonly<Record<string, Step>>): Step =>
  async (exchange) => {
    const { model } = JSON.parse((await exchange.body).toString()) as { model: string }
    await (steps[model] ?? answers(404, error('no such path')))(exchange)
  }

suite('another model takes over', { concurrency: true }, () => {
  const spare = byModel({ spare: chat('from spare') })

  test('a prompt too long, by the chain that names one for it', async (t) => {
    const fallbacks = [{ model: 'spare', on: ['context_window'] }]
    const { sidecar, providers } = await startUpstreams(t, [byModel({ m: answers(400, tooLong) }), spare], { routing: { fallbacks } }, [
      { models: ['m'] },
      { models: ['spare'] },
    ])
    const told = await ask(sidecar)
    assert.match(told.text, /from spare/)
    assert.deepEqual([...served(told), told.headers.get('x-outrider-model')], ['b', '2', 'spare'])
    assert.deepEqual(askedOf(providers), [1, 1])
  })

  test('a prompt that is refused for its content only where the chain says so', async (t) => {
    const own = [{ models: ['m'] }, { models: ['spare'] }]
    const silent = { routing: { fallbacks: [{ model: 'spare' }] } }
    const without = await startUpstreams(t, [byModel({ m: answers(400, policy) }), []], silent, own)
    assert.equal((await ask(without.sidecar)).status, 400)
    const asked = { routing: { fallbacks: [{ model: 'spare', on: ['content_policy'] }] } }
    const { sidecar } = await startUpstreams(t, [byModel({ m: answers(400, policy) }), spare], asked, own)
    const told = await ask(sidecar)
    assert.deepEqual([told.status, told.headers.get('x-outrider-model')], [200, 'spare'])
    assert.equal(await metric(sidecar, 'outrider_attempts_total{upstream="b"}'), 1)
  })
})
