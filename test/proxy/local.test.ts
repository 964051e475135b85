import assert from 'node:assert/strict'
import { test } from 'node:test'
import packageJson from '../../package.json' with { type: 'json' }
import { answers, chat, deadUpstream, paced, provider } from '../fixtures/provider.ts'
import { rawClient, repliesIn } from '../fixtures/rawClient.ts'
import { status } from '../../sidecar/observe/status.ts'
import { startSidecar, type Sidecar } from '../fixtures/startSidecar.ts'

interface Health {
  status: string
  upstreams: { name: string; status: string; problem?: string; failures_in_a_row: number; last_failure?: { what: string } }[]
}

interface Stats {
  version: string
  uptime_seconds: number
  calls: { total: number; in_flight: number }
  upstreams: {
    name: string
    healthy: boolean
    status: string
    connections: { open: number; busy: number; waiting: number }
    attempts: number
    success_rate: number | null
    mean_response_ms: number | null
  }[]
}

const healthOf = async ({ origin }: Sidecar): Promise<Health> => (await (await fetch(`${origin}/health`)).json()) as Health
const statsOf = async ({ url }: Sidecar): Promise<Stats> => (await (await fetch(`${url}/stats`)).json()) as Stats

async function call({ url }: Sidecar): Promise<number> {
  const reply = await fetch(`${url}/chat/completions`, { method: 'POST', body: '{"model":"m"}' })
  await reply.text()
  return reply.status
}

test('/health says of an upstream that nobody has called yet that it is healthy, and that there was no success', async (t) => {
  const upstream = await provider(t, [])
  const sidecar = await startSidecar(t, upstream.url)
  const reply = await fetch(`${sidecar.origin}/health?from=compose`)
  assert.deepEqual([reply.status, reply.headers.get('content-type')], [200, 'application/json'])
  assert.equal(reply.headers.get('cache-control'), 'no-store')
  assert.deepEqual(await reply.json(), {
    status: 'healthy',
    upstreams: [{ name: 'fake', status: 'healthy', state: 'healthy', failures_in_a_row: 0, last_success_seconds_ago: null }],
  })
  assert.equal((await sidecar.callLine(0))['operation'], 'health')
})

test('one failure degrades an upstream, five in a row make it unhealthy, and a success heals', async (t) => {
  const upstream = await provider(t, [...Array.from({ length: 5 }, () => answers(500)), chat('back')])
  const sidecar = await startSidecar(t, upstream.url)
  await call(sidecar)
  const first = await healthOf(sidecar)
  assert.deepEqual(
    [first.status, first.upstreams[0]?.status, first.upstreams[0]?.last_failure?.what],
    ['degraded', 'degraded', 'status 500'],
  )
  for (let n = 0; n < 4; n++) await call(sidecar)
  const down = await fetch(`${sidecar.origin}/health`)
  // The sidecar itself serves: a restart would not help.
  assert.equal(down.status, 200)
  const said = (await down.json()) as Health
  assert.deepEqual([said.status, said.upstreams[0]?.failures_in_a_row], ['unhealthy', 5])
  assert.equal(await call(sidecar), 200)
  // Five of the last six went wrong: better, and not yet well.
  assert.equal((await healthOf(sidecar)).status, 'degraded')
})

test('an upstream that refuses connections is unhealthy after five attempts', async (t) => {
  const sidecar = await startSidecar(t, await deadUpstream())
  for (let n = 0; n < 5; n++) assert.equal(await call(sidecar), 502)
  const { upstreams } = await healthOf(sidecar)
  assert.deepEqual([upstreams[0]?.status, upstreams[0]?.last_failure?.what], ['unhealthy', 'connect_failed'])
})

test('an upstream that limits or refuses the key is up: degraded, never unhealthy', async (t) => {
  const upstream = await provider(t, answers(429))
  const sidecar = await startSidecar(t, upstream.url)
  for (let n = 0; n < 7; n++) await call(sidecar)
  assert.equal((await healthOf(sidecar)).status, 'degraded')
})

test('what clients do wrong says nothing of the upstream', async (t) => {
  const upstream = await provider(t, answers(400))
  const sidecar = await startSidecar(t, upstream.url)
  for (let n = 0; n < 7; n++) await call(sidecar)
  assert.equal((await healthOf(sidecar)).status, 'healthy')
})

test('an answer that breaks off is a failure, though its head was good', async (t) => {
  const upstream = await provider(t, ({ res, reset }) => {
    res.writeHead(200, { 'content-type': 'application/json', 'content-length': '100' })
    res.write('{"half":', reset)
  })
  const sidecar = await startSidecar(t, upstream.url)
  await assert.rejects(call(sidecar))
  await sidecar.callLine(0)
  const { upstreams } = await healthOf(sidecar)
  assert.deepEqual([upstreams[0]?.status, upstreams[0]?.last_failure?.what], ['degraded', 'reply_cut'])
})

test('a missing key is a reason to be unhealthy', async (t) => {
  const upstream = await provider(t, [])
  const sidecar = await startSidecar(t, upstream.url, { credentials: { other: { env: 'NO_SUCH_KEY' } } }, { credential: 'other' })
  const { status, upstreams } = await healthOf(sidecar)
  assert.deepEqual([status, upstreams[0]?.problem], ['unhealthy', 'no_credential'])
})

test('/health and /v1/stats answer while every slot is taken, and HEAD has no body', async (t) => {
  const stream = paced()
  const upstream = await provider(t, stream)
  const sidecar = await startSidecar(t, upstream.url, { limits: { inFlight: 1 } })
  const streaming = fetch(`${sidecar.url}/chat/completions`, { method: 'POST', body: '{"stream":true}' })
  await stream.send({ choices: [] })
  assert.equal((await fetch(`${sidecar.origin}/health`)).status, 200)
  const { calls, upstreams } = await statsOf(sidecar)
  assert.deepEqual(calls, { total: 1, in_flight: 1 })
  assert.deepEqual(upstreams[0]?.connections, { open: 1, busy: 1, waiting: 0 })
  const client = await rawClient(t, sidecar.port)
  client.send('HEAD /health HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n')
  const [head] = repliesIn((await client.closed).replace(/content-length: \d+/, 'content-length: 0'))
  assert.deepEqual([head?.status, head?.body], [200, ''])
  await stream.send('[DONE]')
  await stream.end()
  await (await streaming).text()
})

test('/v1/stats tells of each upstream whether it is healthy, its connections, success rate and mean response time', async (t) => {
  const upstream = await provider(t, [chat('a'), answers(500), chat('b'), chat('c')])
  const sidecar = await startSidecar(t, upstream.url)
  const before = await statsOf(sidecar)
  assert.deepEqual(
    [before.upstreams[0]?.attempts, before.upstreams[0]?.success_rate, before.upstreams[0]?.mean_response_ms],
    [0, null, null],
  )
  for (let n = 0; n < 4; n++) await call(sidecar)
  await sidecar.callLine(4)
  const { version, uptime_seconds: uptime, calls, upstreams } = await statsOf(sidecar)
  assert.equal(version, packageJson.version)
  assert.ok(uptime >= 0 && uptime < 60)
  assert.deepEqual(calls, { total: 4, in_flight: 0 })
  const [fake] = upstreams
  assert.deepEqual([fake?.name, fake?.healthy, fake?.status, fake?.attempts, fake?.success_rate], ['fake', true, 'healthy', 4, 0.75])
  assert.ok((fake?.mean_response_ms ?? 0) > 0)
})

test('where clients are configured, /health is for everyone and /v1/stats for clients', async (t) => {
  const upstream = await provider(t, [])
  const sha256 = 'a'.repeat(64)
  const sidecar = await startSidecar(t, upstream.url, { clients: [{ name: 'one', sha256 }] })
  assert.equal((await fetch(`${sidecar.origin}/health`)).status, 200)
  assert.equal((await fetch(`${sidecar.url}/stats`)).status, 401)
})

test('other methods and near misses are not answered here', async (t) => {
  const upstream = await provider(t, answers(404))
  const sidecar = await startSidecar(t, upstream.url)
  for (const path of ['/healthy', '/health/', '/Health'])
    assert.equal((await fetch(sidecar.origin + path)).headers.get('x-outrider-error'), 'not_found')
  assert.equal((await fetch(`${sidecar.origin}/health`, { method: 'POST' })).status, 404)
  assert.equal(upstream.seen.length, 0)
  for (const path of ['/stats/x', '/stat']) await (await fetch(sidecar.url + path)).text()
  await (await fetch(`${sidecar.url}/stats`, { method: 'POST' })).text()
  assert.equal(upstream.seen.length, 3)
})

test('near the end of a shutdown /health says so with 503', () => {
  const { health } = status({
    beganMs: 0,
    now: () => 0,
    calls: () => ({ inFlight: 1, seen: 1, closed: true }),
    upstreams: [],
    canaries: () => [],
  })
  assert.deepEqual(health(), { status: 503, json: { status: 'draining', upstreams: [] } })
})
