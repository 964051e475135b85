import assert from 'node:assert/strict'
import { test } from 'node:test'
import { configFromEnvironment } from '../../sidecar/config/environment.ts'
import { startProxy } from '../../sidecar/proxy/proxy.ts'
import { answers, chat, provider, type Step } from '../fixtures/provider.ts'
import { startSidecar } from '../fixtures/startSidecar.ts'
import { ask, askedOf, served, startUpstreams } from '../fixtures/startUpstreams.ts'

const error = (message: string, more: object = {}): object => ({ error: { message, type: 'x', param: null, code: null, ...more } })

/** Answers by the model that is asked for. */
const byModel =
  (steps: Readonly<Record<string, Step>>): Step =>
  async (exchange) => {
    const { model } = JSON.parse((await exchange.body).toString()) as { model: string }
    await (steps[model] ?? answers(404, error('no such path')))(exchange)
  }

const modelsOf = (bodies: readonly { readonly body: Buffer }[]): unknown[] =>
  bodies.map(({ body }) => (JSON.parse(body.toString()) as { model: unknown }).model)

test('another model is asked when the one asked for fails, and the answer says which served', async (t) => {
  const upstream = await provider(t, byModel({ m: answers(500), spare: chat('from spare') }))
  const sidecar = await startSidecar(t, upstream.url, {
    routing: { fallbacks: [{ model: 'spare' }] },
    retry: { attempts: 3, backoff: '1ms' },
  })
  const told = await ask(sidecar)
  assert.deepEqual([told.status, told.headers.get('x-outrider-model'), told.headers.get('x-outrider-attempts')], [200, 'spare', '3'])
  // The last attempt is kept for it.
  assert.deepEqual(modelsOf(upstream.seen), ['m', 'm', 'spare'])
})

test('a prompt too long for a model goes to the one that is named for it, over all upstreams', async (t) => {
  const long = answers(400, error("This model's maximum context length is 8192 tokens", { code: 'context_length_exceeded' }))
  const { sidecar, providers } = await startUpstreams(
    t,
    [byModel({ small: long }), byModel({ large: chat('from large') })],
    { routes: [{ name: 'small', models: ['small'], fallbacks: [{ model: 'large', on: ['context_window'] }] }] },
    [{ models: ['small'] }, { models: ['large'] }],
  )
  const told = await ask(sidecar, { model: 'small' })
  assert.equal(told.status, 200)
  assert.match(told.text, /from large/)
  assert.deepEqual(served(told), ['b', '2'])
  assert.equal(told.headers.get('x-outrider-model'), 'large')
  assert.deepEqual(askedOf(providers), [1, 1])
})

test('what a chain is not for does not begin it: a refusal on grounds of content is an answer', async (t) => {
  const refused = error('refused', { code: 'content_policy_violation' })
  const upstream = await provider(t, [answers(400, refused)])
  const sidecar = await startSidecar(t, upstream.url, { routing: { fallbacks: [{ model: 'spare' }] }, retry: { attempts: 3 } })
  const told = await ask(sidecar)
  assert.deepEqual([told.status, told.text], [400, JSON.stringify(refused)])
})

test('a model that is limited for longer than anybody waits is replaced at once', async (t) => {
  const upstream = await provider(t, byModel({ m: answers(429, error('slow down'), { 'retry-after': '60' }), spare: chat('from spare') }))
  const sidecar = await startSidecar(t, upstream.url, { routing: { fallbacks: [{ model: 'spare' }] }, retry: { attempts: 3 } })
  const told = await ask(sidecar)
  assert.deepEqual([told.status, told.headers.get('x-outrider-model')], [200, 'spare'])
  assert.deepEqual(modelsOf(upstream.seen), ['m', 'spare'])
})

test('vectors of another model are of no use: embeddings fall back to none', async (t) => {
  const upstream = await provider(t, [answers(429, error('slow down'), { 'retry-after': '60' })])
  const sidecar = await startSidecar(t, upstream.url, { routing: { fallbacks: [{ model: 'spare' }] }, retry: { attempts: 3 } })
  assert.equal((await ask(sidecar, { input: 'x' }, {}, '/embeddings')).status, 429)
})

test('DEFAULT_MODEL, FALLBACK_MODEL and MAX_RETRIES are all it takes without a file', async (t) => {
  const upstream = await provider(
    t,
    byModel({ first: answers(429, error('slow down'), { 'retry-after': '60' }), second: chat('from second') }),
  )
  const env = { API_KEY: 'sk-test-1', BASE_URL: `${upstream.url}/v1`, DEFAULT_MODEL: 'first', FALLBACK_MODEL: 'second', MAX_RETRIES: '1' }
  const { config } = await configFromEnvironment(env)
  const free = {
    ...config,
    listen: { ...config.listen, port: 0 },
    admin: { ...config.admin, port: 0 },
    control: { ...config.control, off: true },
  }
  const proxy = await startProxy({ config: free, warnings: [], env, write: () => {} })
  t.after(proxy.close)
  const told = await ask({ url: `http://127.0.0.1:${proxy.port}/v1` }, { model: undefined })
  assert.equal(told.status, 200)
  assert.match(told.text, /from second/)
  assert.deepEqual(modelsOf(upstream.seen), ['first', 'second'])
})
