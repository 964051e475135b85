import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { WebSocket } from 'ws'
import { answers, chat, provider } from '../fixtures/provider.ts'
import { startSidecar } from '../fixtures/startSidecar.ts'
import { ask, askedOf, served, startUpstreams } from '../fixtures/startUpstreams.ts'

const modelOf = (body: Buffer | undefined): unknown => (JSON.parse(body?.toString() ?? '{}') as { model?: unknown }).model

test('a model goes to the upstreams that have it', async (t) => {
  const { sidecar, providers } = await startUpstreams(t, [chat('a'), chat('b')], {}, [{ models: ['gpt-*'] }, { models: ['claude-*', 'x'] }])
  assert.deepEqual(served(await ask(sidecar, { model: 'gpt-5' })), ['a', '1'])
  assert.deepEqual(served(await ask(sidecar, { model: 'claude-9' })), ['b', '1'])
  assert.deepEqual(served(await ask(sidecar, { model: 'x' })), ['b', '1'])
  assert.deepEqual(askedOf(providers), [1, 2])
})

test('the first route that fits says where a call may go, and the rest goes anywhere', async (t) => {
  const routes = [
    { name: 'big', models: ['big-*'], upstreams: ['b'] },
    { name: 'all-big', models: ['big-*', 'huge'], upstreams: ['c'] },
  ]
  const { sidecar } = await startUpstreams(t, [chat('a'), chat('b'), chat('c')], { routes })
  assert.deepEqual(served(await ask(sidecar, { model: 'big-1' })), ['b', '1'])
  assert.deepEqual(served(await ask(sidecar, { model: 'huge' })), ['c', '1'])
  assert.deepEqual(served(await ask(sidecar, { model: 'small' })), ['a', '1'])
})

test("an upstream's own name of a model is put into the body, and not another byte of it is changed", async (t) => {
  const upstream = await provider(t, answers(200, { ok: true }))
  const sidecar = await startSidecar(t, upstream.url, {}, { modelNames: { m: 'vendor/m-2026' } })
  const body = '{ "messages" : [],\n "model":"m", "seed": 12345678901234567890 , "x":"\\u00e9" }'
  const reply = await fetch(`${sidecar.url}/chat/completions`, { method: 'POST', body, headers: { 'content-type': 'application/json' } })
  assert.equal(upstream.seen[0]?.body.toString(), body.replace('"m"', '"vendor/m-2026"'))
  assert.equal(reply.headers.get('x-outrider-model'), 'vendor/m-2026')
  assert.equal(reply.headers.get('x-outrider-edited'), 'model')
})

test('a body that needs no other name passes byte for byte, and the answer tells of no other model', async (t) => {
  const upstream = await provider(t, answers(200, { ok: true }))
  const sidecar = await startSidecar(t, upstream.url, {}, { modelNames: { other: 'x' } })
  const told = await ask(sidecar)
  assert.equal(upstream.seen[0]?.body.toString(), '{"model":"m","messages":[]}')
  assert.deepEqual([told.headers.get('x-outrider-model'), told.headers.get('x-outrider-edited')], [null, null])
})

test('each upstream that is tried gets the name it knows', async (t) => {
  const { sidecar, providers } = await startUpstreams(t, [answers(500), chat('b')], {}, [
    { modelNames: { m: 'a-m' } },
    { modelNames: { m: 'b-m' } },
  ])
  const told = await ask(sidecar)
  assert.deepEqual([modelOf(providers[0]?.seen[0]?.body), modelOf(providers[1]?.seen[0]?.body)], ['a-m', 'b-m'])
  assert.equal(told.headers.get('x-outrider-model'), 'b-m')
})

test('aliases are other names of models, and a call that names none gets the default', async (t) => {
  const upstream = await provider(t, answers(200))
  const sidecar = await startSidecar(t, upstream.url, {
    routing: { defaultModel: 'fast', aliases: { fast: 'gpt-5-mini', smart: 'gpt-5' } },
  })
  await ask(sidecar, { model: 'smart' })
  await ask(sidecar, { model: undefined })
  await ask(sidecar, { model: 'm' })
  assert.deepEqual(
    upstream.seen.map(({ body }) => modelOf(body)),
    ['gpt-5', 'gpt-5-mini', 'm'],
  )
})

test('no model is put into what names none by its nature', async (t) => {
  const upstream = await provider(t, answers(200))
  const sidecar = await startSidecar(t, upstream.url, { routing: { defaultModel: 'm' } })
  await ask(sidecar, { model: undefined, input_file_id: 'f' }, {}, '/batches')
  assert.equal(upstream.seen[0]?.body.toString(), '{"messages":[],"input_file_id":"f"}')
})

test('defaults of a model are put in where the client left them open', async (t) => {
  const upstream = await provider(t, answers(200))
  const models = [{ name: 'm', defaults: { maxTokens: 500, temperature: 0.2 } }]
  const sidecar = await startSidecar(t, upstream.url, { models })
  const told = await ask(sidecar)
  assert.equal(told.headers.get('x-outrider-edited'), 'max_tokens, temperature')
  await ask(sidecar, { max_completion_tokens: 7, temperature: 1 })
  await ask(sidecar, {}, {}, '/responses')
  const bodies = upstream.seen.map(({ body }) => JSON.parse(body.toString()) as Record<string, unknown>)
  assert.deepEqual([bodies[0]?.['max_tokens'], bodies[0]?.['temperature']], [500, 0.2])
  assert.deepEqual(bodies[1], { model: 'm', messages: [], max_completion_tokens: 7, temperature: 1 })
  assert.deepEqual([bodies[2]?.['max_output_tokens'], bodies[2]?.['max_tokens']], [500, undefined])
})

test('a header chooses the model by priority', async (t) => {
  const upstream = await provider(t, answers(200))
  const sidecar = await startSidecar(t, upstream.url, {
    routing: { priority: { header: 'X-Priority', models: { high: 'gpt-5', low: 'mini' } } },
  })
  // The last two are names that every object of JavaScript knows.
  for (const level of ['high', 'low', 'odd', 'toString', '__proto__']) {
    assert.equal((await ask(sidecar, {}, { 'x-priority': level })).status, 200, level)
  }
  assert.deepEqual(
    upstream.seen.map(({ body }) => modelOf(body)),
    ['gpt-5', 'mini', 'm', 'm', 'm'],
  )
})

test('a call may ask for an upstream and a model by header where that is allowed', async (t) => {
  const routing = { overrides: { upstreams: ['b'], models: ['gpt-*'] } }
  const { sidecar, providers } = await startUpstreams(t, [chat('a'), chat('b')], { routing })
  assert.deepEqual(served(await ask(sidecar, {}, { 'x-outrider-upstream': 'b' })), ['b', '1'])
  const told = await ask(sidecar, {}, { 'x-outrider-model': 'gpt-5' })
  assert.equal(told.headers.get('x-outrider-model'), 'gpt-5')
  assert.equal(modelOf(providers[0]?.seen[0]?.body), 'gpt-5')
  assert.equal('x-outrider-model' in (providers[0]?.seen[0]?.headers ?? {}), false)
  for (const headers of [{ 'x-outrider-upstream': 'a' }, { 'x-outrider-model': 'claude-1' }]) {
    const refused = await ask(sidecar, {}, headers as unknown as Record<string, string>)
    assert.deepEqual([refused.status, refused.headers.get('x-outrider-error')], [400, 'bad_request'])
    assert.match(refused.text, /routing\.overrides\.(?:upstreams|models) does not allow/)
  }
  assert.deepEqual(askedOf(providers), [1, 1])
})

test('where nothing is allowed a call may ask for nothing by header, not even for what it would get', async (t) => {
  const { sidecar, providers } = await startUpstreams(t, [chat('a')])
  for (const header of ['x-outrider-upstream', 'x-outrider-model']) {
    assert.equal((await ask(sidecar, {}, { [header]: header.endsWith('model') ? 'm' : 'a' })).status, 400)
  }
  assert.deepEqual(askedOf(providers), [0])
})

test('a call that asks for one upstream goes to no other, even if that fails', async (t) => {
  const routing = { overrides: { upstreams: ['b'] } }
  const { sidecar, providers } = await startUpstreams(t, [[], answers(500)], { routing, retry: { attempts: 2, backoff: '1ms' } })
  assert.equal((await ask(sidecar, {}, { 'x-outrider-upstream': 'b' })).status, 500)
  assert.deepEqual(askedOf(providers), [0, 2])
})

test('calls of a tier are shared by weight, and a weight of nothing gets none', async (t) => {
  const own = [{ tier: 1, weight: 3 }, { tier: 1 }, { tier: 1, weight: 0 }]
  const { sidecar, providers } = await startUpstreams(t, [chat('a'), chat('b'), []], { routing: { strategy: 'round_robin' } }, own)
  for (let n = 0; n < 40; n++) await ask(sidecar)
  assert.deepEqual(askedOf(providers), [30, 10, 0])
})

test('a WebSocket goes to an upstream that has its model', async (t) => {
  const { sidecar, providers } = await startUpstreams(t, [[], answers(418)], {}, [{ models: ['gpt-*'] }, { models: ['voice'] }])
  const socket = new WebSocket(`${sidecar.url.replace('http', 'ws')}/realtime?model=voice`)
  const [, reply] = (await once(socket, 'unexpected-response')) as [unknown, { statusCode: number; resume: () => void }]
  reply.resume()
  assert.equal(reply.statusCode, 418)
  assert.deepEqual(askedOf(providers), [0, 1])
})
