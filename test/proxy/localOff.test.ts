import assert from 'node:assert/strict'
import { hash } from 'node:crypto'
import { test } from 'node:test'
import { answers, chat, deadUpstream, provider } from '../fixtures/provider.ts'
import { rawClient, repliesIn } from '../fixtures/rawClient.ts'
import { startSidecar, testKey, type Sidecar } from '../fixtures/startSidecar.ts'
import { askedOf, startUpstreams } from '../fixtures/startUpstreams.ts'

const off = { local: { health: false, models: false } }
const loading = answers(503, 'loading the model', { 'content-type': 'text/plain', 'x-theirs': '1' })

const healthOf = ({ origin }: Sidecar, headers: Record<string, string> = {}): Promise<Response> => fetch(`${origin}/health`, { headers })
const statsOf = async ({ url }: Sidecar): Promise<{ upstreams: { status: string; state: string }[] }> =>
  (await (await fetch(`${url}/stats`)).json()) as Awaited<ReturnType<typeof statsOf>>

const bases: readonly (readonly [base: string, target: string, arrives: string])[] = [
  ['/v1', '/health', '/health'],
  ['/v1/', '/health', '/health'],
  ['/api/v1', '/health', '/api/health'],
  ['/a/b/v1', '/health?deep=1', '/a/b/health?deep=1'],
  ['', '/health', '/health'],
  ['/', '/health?', '/health?'],
  ['/openai/v1?api-version=1', '/health', '/openai/health?api-version=1'],
  ['/openai/v1?api-version=1', '/health?a=/../b', '/openai/health?api-version=1&a=/../b'],
  ['//v1', '/health', '/health'],
]

for (const [base, target, arrives] of bases) {
  test(`behind a base URL that ends in "${base}", the upstream is asked for ${arrives} where the app asks for ${target}`, async (t) => {
    const upstream = await provider(t, answers(200))
    const sidecar = await startSidecar(t, upstream.url, off, { url: upstream.url + base })
    const client = await rawClient(t, sidecar.port)
    client.send(`GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`)
    await client.until('\r\n\r\n{}')
    assert.equal((await upstream.request(0)).path, arrives)
  })
}

test("the upstream's own /health goes the way of a call: with our key, counted, and told in the log without its query", async (t) => {
  const upstream = await provider(t, answers(200, { theirs: true }))
  const sidecar = await startSidecar(t, upstream.url, off)
  const reply = await fetch(`${sidecar.origin}/health?token=secret`, { headers: { authorization: 'Bearer app' } })
  assert.deepEqual([reply.headers.get('x-outrider-upstream'), reply.headers.get('x-outrider-attempts')], ['fake', '1'])
  assert.deepEqual(await reply.json(), { theirs: true })
  assert.equal((await upstream.request(0)).headers.authorization, `Bearer ${testKey}`)
  const line = await sidecar.callLine(0)
  assert.deepEqual([line['operation'], line['path'], line['upstream'], line['status']], ['health', '/health', 'fake', 200])
  const metrics = await (await fetch(`${sidecar.adminUrl}/metrics`)).text()
  assert.match(metrics, /^outrider_calls_total\{operation="health",status="200"\} 1$/m)
})

test('HEAD passes, and so does an error in answer to it', async (t) => {
  const upstream = await provider(t, answers(404, '', { 'x-theirs': '1' }))
  const sidecar = await startSidecar(t, upstream.url, off)
  const reply = await fetch(`${sidecar.origin}/health`, { method: 'HEAD' })
  assert.deepEqual([reply.status, reply.headers.get('x-theirs'), upstream.seen[0]?.method], [404, '1', 'HEAD'])
})

test('nothing else beside /v1 passes: no other path, no other method, no body', async (t) => {
  const upstream = await provider(t, [])
  const sidecar = await startSidecar(t, upstream.url, off)
  const client = await rawClient(t, sidecar.port)
  const targets = [
    '/healthz',
    '/health/',
    '/health/x',
    '/Health',
    '//health',
    '/health;a',
    '/health#a',
    '/health%3fa',
    '/%68ealth',
    '/./health',
    '/x/../health',
    '/v1/../health',
    '/v1/%2e%2e/health',
    '/health/../metrics',
    '\\health',
    'http://other.example/health',
    '*',
    '/',
  ]
  const requests = targets.map((target) => `GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`)
  for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS']) requests.push(`${method} /health HTTP/1.1\r\nHost: a\r\n\r\n`)
  requests.push('GET /health HTTP/1.1\r\nHost: a\r\ncontent-length: 2\r\n\r\n{}')
  requests.push('GET /health HTTP/1.1\r\nHost: a\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n')
  for (const request of requests) {
    const one = await rawClient(t, sidecar.port)
    one.send(request)
    const [reply] = repliesIn(await one.until('"error"'))
    assert.ok(reply?.status === 404 || reply?.status === 400, request)
  }
  client.send('GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n')
  assert.match(await client.until('"error"'), /^HTTP\/1\.1 400 /)
  assert.equal(upstream.seen.length, 0)
})

test('where clients are configured, a stranger does not reach the /health of the upstream', async (t) => {
  const upstream = await provider(t, answers(200))
  const clients = [{ name: 'shop', sha256: hash('sha256', 'key-of-shop') }]
  const sidecar = await startSidecar(t, upstream.url, { ...off, clients })
  const refused = await healthOf(sidecar)
  assert.deepEqual([refused.status, refused.headers.get('x-outrider-error')], [401, 'unauthorized'])
  assert.equal(upstream.seen.length, 0)
  assert.equal((await healthOf(sidecar, { authorization: 'Bearer key-of-shop' })).status, 200)
  assert.equal((await sidecar.callLine(1))['client'], 'shop')
})

test('a slot is needed for it as for any call', async (t) => {
  const held = Promise.withResolvers<void>()
  const upstream = await provider(t, async (exchange) => {
    await held.promise
    await answers(200)(exchange)
  })
  const sidecar = await startSidecar(t, upstream.url, { ...off, limits: { inFlight: 1 } })
  const first = healthOf(sidecar)
  await upstream.request(0)
  assert.equal((await healthOf(sidecar)).headers.get('x-outrider-error'), 'proxy_overloaded')
  held.resolve()
  assert.equal((await first).status, 200)
})

test('that it cannot serve now is an answer: it passes as it came, is asked for once, and takes nobody out', async (t) => {
  const upstream = await provider(t, [...Array.from({ length: 10 }, () => loading), answers(200, { data: [] })])
  const sidecar = await startSidecar(t, upstream.url, { ...off, retry: { attempts: 3, backoff: '1ms', throttledBackoff: '1ms' } })
  for (let n = 0; n < 10; n++) {
    const reply = await healthOf(sidecar)
    assert.deepEqual([reply.status, reply.headers.get('x-theirs'), await reply.text()], [503, '1', 'loading the model'])
    assert.equal(reply.headers.get('x-outrider-error'), null)
  }
  assert.equal(upstream.seen.length, 10)
  const { upstreams } = await statsOf(sidecar)
  assert.deepEqual([upstreams[0]?.status, upstreams[0]?.state], ['healthy', 'healthy'])
  assert.equal((await fetch(`${sidecar.url}/models`)).status, 200)
})

test('a page that is closed to us beside the API takes no key out', async (t) => {
  const upstream = await provider(t, [answers(403), answers(401), answers(402), chat('hi')])
  const sidecar = await startSidecar(t, upstream.url, off)
  for (const status of [403, 401, 402]) assert.equal((await healthOf(sidecar)).status, status)
  assert.equal((await statsOf(sidecar)).upstreams[0]?.state, 'healthy')
  const reply = await fetch(`${sidecar.url}/chat/completions`, { method: 'POST', body: '{"model":"m","messages":[]}' })
  assert.equal(reply.status, 200)
  await reply.text()
})

test('an upstream whose calls fail is not well for saying so', async (t) => {
  const upstream = await provider(t, [...Array.from({ length: 5 }, () => answers(500)), answers(200), answers(401), answers(200)])
  const sidecar = await startSidecar(t, upstream.url, off)
  const call = async (): Promise<void> => {
    await (await fetch(`${sidecar.url}/chat/completions`, { method: 'POST', body: '{"model":"m"}' })).text()
  }
  for (let n = 0; n < 5; n++) await call()
  assert.equal((await healthOf(sidecar)).status, 200)
  const [failing] = (await statsOf(sidecar)).upstreams
  assert.deepEqual([failing?.status, failing?.state], ['unhealthy', 'failing'])
  await call()
  // It asks nobody for a key there.
  assert.equal((await healthOf(sidecar)).status, 200)
  assert.equal((await statsOf(sidecar)).upstreams[0]?.state, 'auth_failed')
})

test('what it says of itself moves no call', async (t) => {
  const { sidecar, providers } = await startUpstreams(
    t,
    [
      [loading, chat('a')],
      [answers(200), chat('b')],
    ],
    { ...off, routing: { overrides: { upstreams: ['a', 'b'] } } },
    [{}, { tier: 1 }],
  )
  for (const name of ['a', 'b']) await (await healthOf(sidecar, { 'x-outrider-upstream': name })).text()
  for (let n = 0; n < 2; n++) {
    const reply = await fetch(`${sidecar.url}/chat/completions`, { method: 'POST', body: '{"model":"m","messages":[]}' })
    assert.equal(reply.status, 200)
    await reply.text()
  }
  assert.deepEqual(askedOf(providers), [2, 2])
})

test('of several upstreams one that can serve answers, and where none can, the last one asked', async (t) => {
  const { sidecar, providers } = await startUpstreams(t, [loading, [answers(200, { b: true }), loading, loading]], off)
  const well = await healthOf(sidecar)
  assert.deepEqual([well.status, well.headers.get('x-outrider-upstream'), await well.json()], [200, 'b', { b: true }])
  for (let n = 0; n < 2; n++) {
    const none = await healthOf(sidecar)
    assert.deepEqual([none.status, none.headers.get('x-outrider-upstream'), await none.text()], [503, 'b', 'loading the model'])
  }
  // Each was asked once for each of the three, and the first still comes first.
  assert.deepEqual(askedOf(providers), [3, 3])
  const { upstreams } = await statsOf(sidecar)
  assert.deepEqual(
    upstreams.map(({ state }) => state),
    ['healthy', 'healthy'],
  )
})

test('one that cannot be reached is a failure: another answers, and where there is none an error of ours', async (t) => {
  const upstream = await provider(t, answers(200))
  const upstreams = [
    { name: 'a', url: `${await deadUpstream()}/v1` },
    { name: 'b', url: `${upstream.url}/deep/v1`, tier: 2 },
  ]
  const sidecar = await startSidecar(t, upstream.url, { ...off, upstreams, retry: { attempts: 2 } })
  const reply = await healthOf(sidecar)
  assert.deepEqual([reply.status, reply.headers.get('x-outrider-upstream'), reply.headers.get('x-outrider-attempts')], [200, 'b', '2'])
  assert.equal((await upstream.request(0)).path, '/deep/health')
  const alone = await startSidecar(t, await deadUpstream(), off)
  const failed = await healthOf(alone)
  assert.deepEqual([failed.status, failed.headers.get('x-outrider-error')], [502, 'connect_failed'])
  assert.equal((await alone.callLine(0))['operation'], 'health')
})

test('who asks for one upstream hears that one, whatever it says', async (t) => {
  const { sidecar, providers } = await startUpstreams(t, [answers(200), loading], {
    ...off,
    routing: { overrides: { upstreams: ['b'] } },
  })
  const reply = await healthOf(sidecar, { 'x-outrider-upstream': 'b' })
  assert.deepEqual([reply.status, reply.headers.get('x-outrider-upstream'), await reply.text()], [503, 'b', 'loading the model'])
  const refused = await healthOf(sidecar, { 'x-outrider-upstream': 'a' })
  assert.deepEqual([refused.status, refused.headers.get('x-outrider-error')], [400, 'bad_request'])
  assert.deepEqual(askedOf(providers), [0, 1])
})

test('/v1/stats is what the upstream says it is', async (t) => {
  const upstream = await provider(t, answers(200, { theirs: true }, { 'cache-control': 'max-age=5' }))
  const sidecar = await startSidecar(t, upstream.url, { local: { stats: false } })
  const reply = await fetch(`${sidecar.url}/stats`)
  assert.deepEqual([reply.headers.get('cache-control'), await reply.json()], ['max-age=5', { theirs: true }])
  assert.equal((await upstream.request(0)).path, '/v1/stats')
})

test('/v1/chat/completions/stream reaches the upstream under that name, without a word put into its body', async (t) => {
  const upstream = await provider(t, answers(200, { theirs: true }))
  const sidecar = await startSidecar(t, upstream.url, { local: { streamAlias: false } })
  const alias = await fetch(`${sidecar.url}/chat/completions/stream`, { method: 'POST', body: '{"model":"m"}' })
  assert.deepEqual([alias.headers.get('x-outrider-edited'), await alias.json()], [null, { theirs: true }])
  const seen = await upstream.request(0)
  assert.deepEqual([seen.path, (await seen.whole)?.toString()], ['/v1/chat/completions/stream', '{"model":"m"}'])
})

test('of several upstreams the list of the one that is asked passes as it is, each time', async (t) => {
  const list = (id: string) => answers(200, { object: 'list', data: [{ id }] }, { 'cache-control': 'no-cache', etag: `"${id}"` })
  const { sidecar, providers } = await startUpstreams(t, [list('of-a'), list('of-b')], off)
  for (let n = 0; n < 2; n++) {
    const reply = await fetch(`${sidecar.url}/models?limit=1`)
    assert.deepEqual([reply.headers.get('x-outrider-cache'), reply.headers.get('etag')], [null, '"of-a"'])
    assert.deepEqual(await reply.json(), { object: 'list', data: [{ id: 'of-a' }] })
  }
  assert.equal(providers[0]?.seen[0]?.path, '/v1/models?limit=1')
  assert.deepEqual(askedOf(providers), [2, 0])
})

test('without cors the headers and preflights of the upstream pass, /health included', async (t) => {
  const theirs = {
    'access-control-allow-origin': 'https://theirs.example',
    'access-control-expose-headers': 'x-request-id',
    'access-control-allow-credentials': 'true',
    'access-control-max-age': '7',
    vary: 'Origin',
  }
  const upstream = await provider(t, answers(200, {}, theirs))
  const sidecar = await startSidecar(t, upstream.url, off)
  const origin = 'https://app.example'
  const asked = { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization' }
  for (const reply of [
    await fetch(`${sidecar.url}/models`, { headers: { origin } }),
    await fetch(`${sidecar.url}/models`, { method: 'OPTIONS', headers: asked }),
    await healthOf(sidecar, { origin }),
  ]) {
    for (const [name, value] of Object.entries(theirs)) assert.equal(reply.headers.get(name), value)
  }
  assert.deepEqual(
    upstream.seen.map(({ headers }) => headers.origin),
    [origin, origin, origin],
  )
})
