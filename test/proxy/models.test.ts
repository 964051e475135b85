import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { answers, provider, type Provider, type Step } from '../fixtures/provider.ts'
import { startSidecar, type Sidecar } from '../fixtures/startSidecar.ts'

const list = { object: 'list', data: [{ id: 'm', object: 'model' }] }

async function caching(t: TestContext, script: Step | readonly Step[]): Promise<{ upstream: Provider; sidecar: Sidecar }> {
  const upstream = await provider(t, script)
  return { upstream, sidecar: await startSidecar(t, upstream.url, { local: { models: true } }) }
}

const get = ({ url }: Sidecar, query = '', headers: Record<string, string> = {}) => fetch(`${url}/models${query}`, { headers })
const cacheOf = (reply: Response): string | null => reply.headers.get('x-outrider-cache')

test('the list is asked for once and served from then on, for five minutes as caches are told', async (t) => {
  const { upstream, sidecar } = await caching(t, [answers(200, list, { 'set-cookie': 'a=b', 'cache-control': 'private', etag: '"1"' })])
  const first = await get(sidecar)
  assert.deepEqual([cacheOf(first), first.headers.get('x-outrider-attempts'), await first.json()], ['miss', '1', list])
  const second = await get(sidecar, '', { 'if-none-match': '"1"' })
  assert.deepEqual(
    [second.status, cacheOf(second), second.headers.get('x-outrider-attempts'), await second.json()],
    [200, 'hit', null, list],
  )
  for (const { headers } of [first, second]) {
    assert.equal(headers.get('cache-control'), 'public, max-age=300')
    assert.equal(headers.get('content-type'), 'application/json')
    assert.equal(headers.get('set-cookie'), null)
    assert.match(headers.get('age') ?? '', /^\d$/)
  }
  assert.equal(upstream.seen.length, 1)
})

test('the key that the upstream gets is ours, and no coding is asked for that a later client may not know', async (t) => {
  const { upstream, sidecar } = await caching(t, [answers(200, list)])
  await (await get(sidecar, '', { 'accept-encoding': 'br', authorization: 'Bearer app' })).text()
  const { headers } = await upstream.request(0)
  assert.equal(headers['accept-encoding'], undefined)
  assert.match(headers.authorization ?? '', /^Bearer sk-test-/)
})

test('those who ask at once share one attempt, and one who leaves takes it from nobody', async (t) => {
  const gate = Promise.withResolvers<void>()
  const { upstream, sidecar } = await caching(t, [
    async (exchange) => {
      await gate.promise
      await answers(200, list)(exchange)
    },
  ])
  const leaving = new AbortController()
  const left = fetch(`${sidecar.url}/models`, { signal: leaving.signal })
  await upstream.request(0)
  const others = Array.from({ length: 5 }, () => get(sidecar))
  // All are in flight before the first is given up.
  while (((await (await fetch(`${sidecar.url}/stats`)).json()) as { calls: { in_flight: number } }).calls.in_flight < 6);
  leaving.abort()
  await assert.rejects(left)
  gate.resolve()
  for (const reply of await Promise.all(others)) assert.deepEqual([cacheOf(reply), await reply.json()], ['miss', list])
  assert.equal(upstream.seen.length, 1)
})

test('another query, or another header by which lists differ, is another list', async (t) => {
  const { upstream, sidecar } = await caching(t, ({ req, res }) => {
    const body = JSON.stringify([req.url, req.headers['openai-organization'], req.headers['anthropic-version']])
    res.writeHead(200, { 'content-type': 'application/json' }).end(body)
  })
  const asked = [
    ['', {}],
    ['?limit=1', {}],
    ['?limit=2', {}],
    ['', { 'openai-organization': 'o1' }],
    ['', { 'anthropic-version': '2023-06-01' }],
  ] as const
  for (const [query, headers] of [...asked, ...asked]) {
    const reply = await get(sidecar, query, headers)
    const named = headers as Record<string, string>
    assert.deepEqual(await reply.json(), [`/v1/models${query}`, named['openai-organization'] ?? null, named['anthropic-version'] ?? null])
  }
  assert.equal(upstream.seen.length, asked.length)
})

test('the number of lists kept has a bound', async (t) => {
  const { upstream, sidecar } = await caching(t, answers(200, list))
  for (let n = 0; n < 17; n++) await (await get(sidecar, `?n=${n}`)).text()
  assert.equal(cacheOf(await get(sidecar, '?n=16')), 'hit')
  assert.equal(cacheOf(await get(sidecar, '?n=0')), 'miss')
  assert.equal(upstream.seen.length, 18)
})

test('an error of the upstream passes as it is and is not kept', async (t) => {
  const error = { error: { message: 'no' } }
  const { sidecar } = await caching(t, [answers(401, error, { 'x-theirs': '1' }), answers(200, list)])
  const refused = await get(sidecar)
  assert.deepEqual([refused.status, refused.headers.get('x-theirs'), cacheOf(refused), await refused.json()], [401, '1', null, error])
  assert.equal((await get(sidecar)).status, 200)
})

test('a page that is no list is passed on and not kept', async (t) => {
  const { sidecar } = await caching(t, [answers(200, '<html>', { 'content-type': 'text/html' }), answers(200, list)])
  assert.equal(await (await get(sidecar)).text(), '<html>')
  assert.deepEqual(await (await get(sidecar)).json(), list)
})

test('an upstream that is down when nothing is kept is an error of ours, with its kind', async (t) => {
  const { upstream, sidecar } = await caching(t, [])
  await upstream.close()
  const reply = await get(sidecar)
  assert.deepEqual([reply.status, reply.headers.get('x-outrider-error')], [502, 'connect_failed'])
  await reply.text()
})

test('a list that is too long to be kept flows to who asked', async (t) => {
  const long = { data: 'x'.repeat(5 * 1024 * 1024) }
  const { upstream, sidecar } = await caching(t, answers(200, long))
  const reply = await get(sidecar)
  assert.deepEqual([reply.status, cacheOf(reply), await reply.json()], [200, null, long])
  assert.equal(upstream.seen.length, 2)
})

test('one model by its name, other methods and bodies are not kept', async (t) => {
  const { upstream, sidecar } = await caching(t, answers(200, {}))
  for (let n = 0; n < 2; n++) {
    await (await fetch(`${sidecar.url}/models/m`)).text()
    await (await fetch(`${sidecar.url}/models`, { method: 'DELETE' })).text()
    await (await fetch(`${sidecar.url}/models`, { method: 'HEAD' })).text()
  }
  assert.equal(upstream.seen.length, 6)
})

test('switched off, each call reaches the upstream and its headers pass', async (t) => {
  const upstream = await provider(t, answers(200, list, { 'cache-control': 'no-cache' }))
  const sidecar = await startSidecar(t, upstream.url, { local: { models: false } })
  for (let n = 0; n < 2; n++) {
    const reply = await get(sidecar)
    assert.deepEqual([cacheOf(reply), reply.headers.get('cache-control')], [null, 'no-cache'])
    await reply.text()
  }
  assert.equal(upstream.seen.length, 2)
})

test('a list that is still being asked for when the sidecar closes leaves nothing behind', async (t) => {
  const { upstream, sidecar } = await caching(t, () => {})
  const asking = get(sidecar)
  await upstream.request(0)
  await sidecar.proxy.close()
  await assert.rejects(asking)
})
