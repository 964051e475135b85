import assert from 'node:assert/strict'
import { test } from 'node:test'
import OpenAI from 'openai'
import Anthropic from '@anthropic-ai/sdk'
import { answers, chat, provider, stall, type Step } from '../fixtures/provider.ts'
import { startSidecar, type Document, type Sidecar } from '../fixtures/startSidecar.ts'
import { ask, askedOf, startUpstreams } from '../fixtures/startUpstreams.ts'

const local = { local: { models: true } }
const listOf = (...ids: string[]): object => ({ object: 'list', data: ids.map((id) => ({ id, object: 'model', owned_by: 'them' })) })
const has = (...ids: string[]): Step => answers(200, listOf(...ids))

/** The list as a client gets it, and what it is told of it. */
async function get({ url }: Pick<Sidecar, 'url'>, query = '', headers: Record<string, string> = {}) {
  const reply = await fetch(`${url}/models${query}`, { headers })
  const text = await reply.text()
  const body = JSON.parse(text) as { data?: { id: string; owned_by?: string }[]; error?: { message: string } }
  const header = (name: string): string | null => reply.headers.get(name)
  return { reply, body, text, header, status: reply.status, ids: body.data?.map(({ id }) => id) }
}

test('the list is that of all upstreams, the first tier first, each name once, and each upstream is asked with its own key', async (t) => {
  const { sidecar, providers } = await startUpstreams(
    t,
    [[answers(200, { data: [{ id: 'both', owned_by: 'a' }, { id: 'only-a' }] })], [has('only-b', 'both')], [has('only-c')]],
    { ...local, credentials: { fake: { value: 'sk-a' }, other: { value: 'sk-b' } } },
    [{ tier: 2 }, { tier: 3, credential: 'other' }, { tier: 1 }],
  )
  const first = await get(sidecar)
  assert.deepEqual(first.ids, ['only-c', 'both', 'only-a', 'only-b'])
  assert.equal(first.body.data?.[1]?.owned_by, 'a')
  assert.deepEqual(
    [first.status, first.header('x-outrider-cache'), first.header('x-outrider-attempts'), first.header('x-outrider-upstream')],
    [200, 'miss', '3', 'c, a, b'],
  )
  const second = await get(sidecar)
  assert.deepEqual([second.text, second.header('x-outrider-cache'), second.header('x-outrider-attempts')], [first.text, 'hit', null])
  for (const { header } of [first, second]) {
    assert.equal(header('cache-control'), 'public, max-age=300')
    assert.equal(header('content-type'), 'application/json')
    assert.match(header('age') ?? '', /^\d$/)
    assert.equal(header('x-outrider-missing'), null)
  }
  assert.deepEqual(askedOf(providers), [1, 1, 1])
  assert.deepEqual(
    providers.map(({ seen }) => seen[0]?.headers.authorization),
    ['Bearer sk-a', 'Bearer sk-b', 'Bearer sk-a'],
  )
  const line = await sidecar.callLine(0)
  assert.deepEqual(
    (line['tried'] as { upstream: string; outcome: number }[]).map(({ upstream, outcome }) => [upstream, outcome]),
    [
      ['c', 200],
      ['a', 200],
      ['b', 200],
    ],
  )
  const metrics = await (await fetch(`${sidecar.adminUrl}/metrics`)).text()
  assert.deepEqual(metrics.match(/^outrider_attempts_total.*$/gm)?.toSorted(), [
    'outrider_attempts_total{upstream="a"} 1',
    'outrider_attempts_total{upstream="b"} 1',
    'outrider_attempts_total{upstream="c"} 1',
  ])
})

test('clients see the names that they can ask for: aliases, names of their own, and nothing that is not served', async (t) => {
  const { sidecar } = await startUpstreams(
    t,
    [has('gpt-real', 'gpt-mini', 'whisper', 'swapped'), has('gpt-mini', 'llama-real', 'claude'), has('spare')],
    {
      ...local,
      routing: { aliases: { cheap: 'gpt-mini', nowhere: 'absent', fast: 'mine' } },
      routes: [{ name: 'claude', models: ['claude*'], upstreams: ['a'] }],
    },
    [
      { models: ['gpt-*'], modelNames: { 'gpt-best': 'gpt-real', 'gpt-mini': 'gpt-mini' } },
      { modelNames: { mine: 'llama-real' } },
      { weight: 0 },
    ],
  )
  const { ids, body, header } = await get(sidecar)
  assert.deepEqual(ids, ['gpt-best', 'gpt-real', 'gpt-mini', 'mine', 'llama-real', 'cheap', 'fast'])
  assert.equal(body.data?.[0]?.owned_by, 'them')
  assert.equal(header('x-outrider-missing'), null)
})

test('whatever the list names can be asked for', async (t) => {
  const real: Record<string, string> = { a: 'gpt-real', b: 'llama-real' }
  const serving =
    (name: string): Step =>
    async (exchange) => {
      if (exchange.req.method === 'GET') return has(real[name] ?? '')(exchange)
      const { model } = JSON.parse((await exchange.body).toString()) as { model: string }
      await (model === real[name] ? chat(`from ${name}`) : answers(404, { error: { code: 'model_not_found', message: 'no' } }))(exchange)
    }
  const { sidecar } = await startUpstreams(t, [serving('a'), serving('b')], { ...local, routing: { aliases: { any: 'llama' } } }, [
    { models: ['gpt'], modelNames: { gpt: 'gpt-real' } },
    { modelNames: { llama: 'llama-real' } },
  ])
  const { ids = [] } = await get(sidecar)
  assert.deepEqual(ids, ['gpt', 'llama', 'llama-real', 'any'])
  for (const model of ids) assert.equal((await ask(sidecar, { model })).status, 200, model)
})

test('one model by its name is told by the name that clients use, and any other is asked of the upstreams', async (t) => {
  const unknown = answers(404, { error: { message: 'no such model', code: 'model_not_found' } })
  const serving =
    (known: Readonly<Record<string, Step>>): Step =>
    (exchange) =>
      (known[exchange.req.url ?? ''] ?? unknown)(exchange)
  const { sidecar, providers } = await startUpstreams(
    t,
    [
      serving({ '/v1/models': has('b') }),
      serving({ '/v1/models': has('vendor/real'), '/v1/models/hidden': answers(200, { id: 'hidden' }) }),
    ],
    { ...local, routing: { aliases: { alias: 'mine' } } },
    [{ models: ['b'] }, { modelNames: { mine: 'vendor/real' } }],
  )
  const about = async (name: string): Promise<unknown[]> => {
    const reply = await fetch(`${sidecar.url}/models/${name}`)
    return [reply.status, ((await reply.json()) as { id?: string }).id]
  }
  for (const name of ['mine', 'alias', 'vendor/real', 'vendor%2Freal']) {
    assert.deepEqual(await about(name), [200, decodeURIComponent(name)])
  }
  assert.deepEqual(askedOf(providers), [1, 1])
  assert.deepEqual(await about('hidden'), [200, 'hidden'])
  assert.deepEqual(await about('%zz'), [404, undefined])
  const openai = new OpenAI({ baseURL: sidecar.url, apiKey: 'none' })
  assert.equal((await openai.models.retrieve('mine')).owned_by, 'them')
})

test('an upstream that gives no list leaves a gap that is named, for no longer than it is left alone', async (t) => {
  for (const broken of [
    answers(500),
    answers(401),
    answers(200, '<html>', { 'content-type': 'text/html' }),
    answers(200, { models: [] }),
  ]) {
    const { sidecar } = await startUpstreams(t, [broken, has('b')], local)
    const { ids, status, header } = await get(sidecar)
    assert.deepEqual([status, ids, header('x-outrider-missing'), header('x-outrider-cache')], [200, ['b'], 'a', 'miss'])
    assert.equal(header('cache-control'), 'public, max-age=10')
    // Not asked again by the very next call.
    assert.deepEqual([(await get(sidecar)).header('x-outrider-missing'), (await get(sidecar)).header('x-outrider-cache')], ['a', 'hit'])
  }
})

test('where no upstream gives a list the error says of each why', async (t) => {
  const { sidecar, providers } = await startUpstreams(t, [[], answers(500), answers(401)], local)
  await providers[0]?.close()
  const { status, body, header } = await get(sidecar)
  assert.deepEqual([status, header('x-outrider-error')], [503, 'no_upstream'])
  assert.match(
    body.error?.message ?? '',
    /^No upstream gives a list of models: a: connect_failed \(no connection to .*\); b: status 500; c: status 401 \(no_upstream/,
  )
  // It may be back at any time: with nothing to show, each call asks.
  const before = askedOf(providers)
  await get(sidecar)
  assert.ok(askedOf(providers).some((asked, at) => asked > (before[at] ?? 0)))
})

test('what all upstreams say alike of a call that is wrong is the answer', async (t) => {
  const refused = { error: { message: 'no such organization' } }
  const { sidecar } = await startUpstreams(t, [answers(400, refused), answers(400, { error: 1 })], local)
  const { status, body } = await get(sidecar)
  assert.deepEqual([status, body], [400, refused])
})

test('those who ask at once share the attempts, and one who leaves takes them from nobody', async (t) => {
  const gate = Promise.withResolvers<void>()
  const gated: Step = async (exchange) => {
    await gate.promise
    await has('m')(exchange)
  }
  const { sidecar, providers } = await startUpstreams(t, [[gated], [gated]], local)
  const leaving = new AbortController()
  const left = fetch(`${sidecar.url}/models`, { signal: leaving.signal })
  await Promise.all(providers.map((one) => one.request(0)))
  const others = Array.from({ length: 5 }, () => get(sidecar))
  while (((await (await fetch(`${sidecar.url}/stats`)).json()) as { calls: { in_flight: number } }).calls.in_flight < 6);
  leaving.abort()
  await assert.rejects(left)
  gate.resolve()
  for (const { ids } of await Promise.all(others)) assert.deepEqual(ids, ['m'])
  assert.deepEqual(askedOf(providers), [1, 1])
})

test('with one upstream the list is byte for byte the one it gives, whatever the config calls its models', async (t) => {
  const text = '{"data": [ {"id":"real", "context_length":1e6} ],  "object":"list"}\n'
  const llm = await provider(t, [answers(200, text)])
  const named: Document = { models: ['gpt-*'], modelNames: { mine: 'real' } }
  const sidecar = await startSidecar(t, llm.url, { ...local, routing: { aliases: { other: 'real' } } }, named)
  for (let n = 0; n < 2; n++) assert.equal((await get(sidecar)).text, text)
})

test('who asks for one upstream gets the list of that one, where the config allows it', async (t) => {
  const { sidecar } = await startUpstreams(t, [has('a'), has('b')], { ...local, routing: { overrides: { upstreams: ['b'] } } })
  await get(sidecar)
  assert.deepEqual((await get(sidecar, '', { 'x-outrider-upstream': 'b' })).ids, ['b'])
  assert.equal((await get(sidecar, '', { 'x-outrider-upstream': 'a' })).status, 400)
})

test('another header by which lists differ is another list', async (t) => {
  const byOrganization: Step = (exchange) => has(String(exchange.req.headers['openai-organization'] ?? 'none'))(exchange)
  const { sidecar } = await startUpstreams(t, [byOrganization, has('b')], local)
  assert.deepEqual((await get(sidecar)).ids, ['none', 'b'])
  assert.deepEqual((await get(sidecar, '', { 'openai-organization': 'one' })).ids, ['one', 'b'])
  assert.deepEqual((await get(sidecar)).ids, ['none', 'b'])
})

test('the clients of OpenAI and Anthropic read the whole list, whatever page they ask for', async (t) => {
  const paged: Step = ({ req, res }) => {
    const { searchParams } = new URL(req.url ?? '', 'http://a')
    const all = Array.from({ length: 30 }, (_, n) => ({ id: `claude-${n}`, type: 'model', display_name: `Claude ${n}` }))
    const data = all.slice(0, Number(searchParams.get('limit') ?? 20))
    const body = { data, has_more: data.length < all.length, first_id: data[0]?.id, last_id: data.at(-1)?.id }
    res.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  }
  const { sidecar, providers } = await startUpstreams(t, [paged, has('gpt')], local)
  const anthropic = new Anthropic({ baseURL: sidecar.origin, apiKey: 'none' })
  const seen: string[] = []
  for await (const { id } of anthropic.models.list({ limit: 7 })) seen.push(id)
  assert.deepEqual([seen.length, seen[0], seen.at(-1)], [31, 'claude-0', 'gpt'])
  assert.deepEqual(askedOf(providers), [1, 1])
  assert.equal(providers[0]?.seen[0]?.path, '/v1/models?limit=1000')
  const openai = new OpenAI({ baseURL: sidecar.url, apiKey: 'none' })
  const models: string[] = []
  for await (const { id } of openai.models.list()) models.push(id)
  assert.deepEqual([models.length, models.at(-1)], [21, 'gpt'])
  // Who does not say that it knows pages gets the first of each, and is told that it is not all.
  assert.equal((await get(sidecar)).header('x-outrider-missing'), 'a')
})

test('a list that is still being asked for when the sidecar closes leaves nothing behind', async (t) => {
  const { sidecar, providers } = await startUpstreams(t, [stall(), has('b')], local)
  const asking = fetch(`${sidecar.url}/models`)
  await providers[0]?.request(0)
  await sidecar.proxy.close()
  await assert.rejects(asking)
})
