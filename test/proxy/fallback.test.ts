import assert from 'node:assert/strict'
import { test } from 'node:test'
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

test('the line of a call says why another model was asked at once, and that of any other call says nothing of it', async (t) => {
  const upstream = await provider(t, byModel({ m: limited, spare: chat('from spare') }))
  const sidecar = await startSidecar(t, upstream.url, { routing: { fallbacks: [{ model: 'spare' }] }, retry: { attempts: 3 } })
  const why = async (model: string): Promise<unknown[]> => {
    assert.match((await ask(sidecar, { model })).text, /from spare/)
    const { model: asked, attempts, not_asked: state } = await sidecar.callLine(calls++)
    return [asked, attempts, state]
  }
  let calls = 0
  // The first attempt finds it out, and the line shows that among what was tried.
  assert.deepEqual(await why('m'), ['m', 2, undefined])
  assert.deepEqual(await why('m'), ['m', 1, 'limited'])
  assert.deepEqual(await why('spare'), ['spare', 1, undefined])
})

test('vectors of another model are of no use: embeddings fall back to none', async (t) => {
  const upstream = await provider(t, [answers(429, error('slow down'), { 'retry-after': '60' })])
  const sidecar = await startSidecar(t, upstream.url, { routing: { fallbacks: [{ model: 'spare' }] }, retry: { attempts: 3 } })
  assert.equal((await ask(sidecar, { input: 'x' }, {}, '/embeddings')).status, 429)
})

const limited = answers(429, error('slow down'), { 'retry-after': '60' })
const refusing = answers(400, error('This model does not support tools', { type: 'invalid_request_error' }))
const tools = [{ type: 'function', function: { name: 'f' } }]

test('a model that lacks what a call asks for is passed over, and takes all other calls', async (t) => {
  const upstream = await provider(t, byModel({ m: limited, plain: chat('from plain'), able: chat('from able') }))
  const sidecar = await startSidecar(t, upstream.url, {
    models: [{ name: 'plain', lacks: ['tools', 'prefill'] }],
    routing: { fallbacks: [{ model: 'plain' }, { model: 'able' }] },
    retry: { attempts: 3 },
  })
  const servedBy = async (body: object): Promise<string | null> => (await ask(sidecar, body)).headers.get('x-outrider-model')
  assert.equal(await servedBy({ tools }), 'able')
  assert.equal(await servedBy({ messages: [{ role: 'user' }, { role: 'assistant', content: 'It is ' }] }), 'able')
  assert.equal(await servedBy({ messages: [{ role: 'user' }] }), 'plain')
  // The model that has asked for a minute of patience is not asked again meanwhile.
  assert.deepEqual(modelsOf(upstream.seen), ['m', 'able', 'able', 'plain'])
})

test('a model that fails again and again is left alone where another can be asked, and asked all the same where none can', async (t) => {
  const upstream = await provider(t, byModel({ m: answers(500), plain: chat('from plain') }))
  const sidecar = await startSidecar(t, upstream.url, {
    models: [{ name: 'plain', lacks: ['tools'] }],
    routing: { fallbacks: [{ model: 'plain' }] },
    retry: { attempts: 3, backoff: '1ms' },
  })
  const told: (string | null)[] = []
  for (let n = 0; n < 5; n++) told.push((await ask(sidecar)).headers.get('x-outrider-attempts'))
  assert.deepEqual(told, ['3', '3', '2', '1', '1'])
  assert.equal((await ask(sidecar, { tools })).status, 500)
  assert.deepEqual(modelsOf(upstream.seen), ['m', 'm', 'plain', 'm', 'm', 'plain', 'm', 'plain', 'plain', 'plain', 'm'])
})

test('a model that was limited is asked again when its time is over', async (t) => {
  let busy = true
  const m: Step = async (exchange) => {
    await (busy ? answers(429, error('slow down'), { 'retry-after-ms': '100' }) : chat('from m'))(exchange)
  }
  const upstream = await provider(t, byModel({ m, spare: chat('from spare') }))
  const retry = { attempts: 3, longestWait: '0s' }
  const sidecar = await startSidecar(t, upstream.url, { routing: { fallbacks: [{ model: 'spare' }] }, retry })
  assert.match((await ask(sidecar)).text, /from spare/)
  busy = false
  let text = ''
  for (let n = 0; n < 1_000 && !text.includes('from m'); n++) ({ text } = await ask(sidecar))
  assert.match(text, /from m/)
})

test('no attempt is kept for a model that would be passed over', async (t) => {
  const upstream = await provider(t, byModel({ m: answers(500) }))
  const sidecar = await startSidecar(t, upstream.url, {
    models: [{ name: 'plain', lacks: ['stream'] }],
    routing: { fallbacks: [{ model: 'plain' }] },
    retry: { attempts: 3, backoff: '1ms' },
  })
  const told = await ask(sidecar, { stream: true })
  assert.deepEqual([told.status, told.headers.get('x-outrider-attempts')], [500, '3'])
  assert.deepEqual(modelsOf(upstream.seen), ['m', 'm', 'm'])
})

test('a fallback that refuses a feature gives way to the next, for the reason that began the chain', async (t) => {
  const upstream = await provider(t, byModel({ m: limited, plain: refusing, able: chat('from able') }))
  const only = (model: string) => ({ model, on: ['rate_limited'] })
  const sidecar = await startSidecar(t, upstream.url, {
    routing: { fallbacks: [only('plain'), { model: 'other', on: ['error'] }, only('able')] },
    retry: { attempts: 3 },
  })
  const told = await ask(sidecar, { tools })
  assert.deepEqual([told.status, told.headers.get('x-outrider-model'), told.headers.get('x-outrider-attempts')], [200, 'able', '3'])
  assert.deepEqual(modelsOf(upstream.seen), ['m', 'plain', 'able'])
})

test('where nobody is left, the answer is that of the model asked for, and not what another cannot do', async (t) => {
  const { sidecar } = await startUpstreams(
    t,
    [limited, refusing],
    { routing: { fallbacks: [{ model: 'plain' }] }, retry: { attempts: 3 } },
    [{ models: ['m'] }, { models: ['plain'] }],
  )
  const told = await ask(sidecar, { tools })
  assert.deepEqual([told.status, told.headers.get('retry-after'), told.headers.get('x-outrider-model')], [429, '60', null])
  assert.match(told.text, /slow down/)
  assert.deepEqual(served(told), ['a', '2'])
  // The clients of OpenAI would come back for more otherwise.
  assert.equal(told.headers.get('x-should-retry'), 'false')
  const line = await sidecar.callLine(0)
  assert.deepEqual(
    (line['tried'] as { upstream: string; outcome: number }[]).map(({ upstream, outcome }) => [upstream, outcome]),
    [
      ['a', 429],
      ['b', 400],
    ],
  )
  const metrics = await (await fetch(`${sidecar.adminUrl}/metrics`)).text()
  assert.match(metrics, /^outrider_attempts_total\{upstream="a"\} 1$/m)
  assert.match(metrics, /^outrider_attempts_total\{upstream="b"\} 1$/m)
})

test('nor that nobody has the model that was to take over', async (t) => {
  const { sidecar, providers } = await startUpstreams(
    t,
    [[], []],
    { routing: { fallbacks: [{ model: 'nowhere' }] }, retry: { attempts: 2, backoff: '1ms' } },
    [{ models: ['m'] }, { models: ['other'] }],
  )
  await providers[0]?.close()
  const told = await ask(sidecar)
  assert.deepEqual([told.status, told.headers.get('x-outrider-error')], [502, 'connect_failed'])
  assert.deepEqual(served(told)[0], 'a')
})

test('a failure of the model that took over is told, for it says when another try may help', async (t) => {
  const upstream = await provider(t, byModel({ m: answers(500), spare: limited }))
  const sidecar = await startSidecar(t, upstream.url, { routing: { fallbacks: [{ model: 'spare' }] }, retry: { attempts: 2 } })
  const told = await ask(sidecar)
  assert.deepEqual([told.status, told.headers.get('retry-after'), told.headers.get('x-outrider-model')], [429, '60', 'spare'])
})

test('a model that is asked for by its name answers for itself, whatever it refuses', async (t) => {
  const upstream = await provider(t, [refusing])
  const sidecar = await startSidecar(t, upstream.url, {
    models: [{ name: 'm', lacks: ['tools'] }],
    routing: { fallbacks: [{ model: 'spare' }] },
    retry: { attempts: 3 },
  })
  const told = await ask(sidecar, { tools })
  assert.deepEqual(
    [told.status, JSON.parse(told.text)],
    [400, error('This model does not support tools', { type: 'invalid_request_error' })],
  )
})
