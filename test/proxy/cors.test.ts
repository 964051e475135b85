import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { answers, chat, deadUpstream, provider } from '../fixtures/provider.ts'
import { rawClient, repliesIn } from '../fixtures/rawClient.ts'
import { startSidecar, type Document } from '../fixtures/startSidecar.ts'

const page = 'https://app.example'
const preflight = (origin: string, headers = 'authorization, x-stainless-os'): string =>
  `OPTIONS /v1/chat/completions HTTP/1.1\r\nhost: a\r\norigin: ${origin}\r\naccess-control-request-method: POST\r\n` +
  `access-control-request-headers: ${headers}\r\nconnection: close\r\n\r\n`

test('off by default: preflights and headers are those of the upstream', async (t) => {
  const upstream = await provider(t, answers(200, {}, { 'access-control-allow-origin': 'https://theirs.example', vary: 'accept' }))
  const sidecar = await startSidecar(t, upstream.url)
  const client = await rawClient(t, sidecar.port)
  client.send(preflight(page))
  const [reply] = repliesIn(await client.closed)
  assert.equal(reply?.status, 200)
  assert.equal(reply?.header('access-control-allow-origin'), 'https://theirs.example')
  assert.equal((await upstream.request(0)).method, 'OPTIONS')
})

async function preflighted(t: Parameters<typeof startSidecar>[0], cors: Document, origin: string, more: Document = {}) {
  const upstream = await provider(t, [])
  const sidecar = await startSidecar(t, upstream.url, { cors, ...more })
  const client = await rawClient(t, sidecar.port)
  client.send(preflight(origin))
  const [reply] = repliesIn(await client.closed)
  const header = (name: string): string | undefined => reply?.header(`access-control-${name}`)
  return { reply, header }
}

test('a preflight is answered by us, with 204 and without a length', async (t) => {
  const { reply, header } = await preflighted(t, { origins: [page] }, page)
  assert.deepEqual([reply?.status, reply?.header('content-length'), reply?.header('transfer-encoding')], [204, undefined, undefined])
  assert.equal(header('allow-origin'), page)
  assert.equal(header('allow-methods'), 'GET, POST, DELETE')
  assert.equal(header('allow-headers'), 'authorization, x-stainless-os')
  assert.equal(header('max-age'), '600')
  assert.equal(header('allow-credentials'), undefined)
  assert.match(reply?.header('vary') ?? '', /^origin/)
})

test('origins, methods, headers, credentials and age are those of the config', async (t) => {
  const cors = { origins: [page, 'http://localhost:3000'], methods: ['POST'], headers: ['x-one', 'x-two'], credentials: true, maxAge: '1h' }
  const { header } = await preflighted(t, cors, 'http://localhost:3000')
  assert.equal(header('allow-origin'), 'http://localhost:3000')
  assert.equal(header('allow-methods'), 'POST')
  assert.equal(header('allow-headers'), 'x-one, x-two')
  assert.equal(header('allow-credentials'), 'true')
  assert.equal(header('max-age'), '3600')
})

test('an origin that is not allowed gets a preflight without permission', async (t) => {
  const { reply } = await preflighted(t, { origins: [page] }, 'https://evil.example')
  assert.equal(reply?.status, 204)
  assert.deepEqual(
    reply?.lines.filter(([name]) => name.startsWith('access-control-')),
    [],
  )
})

test('a preflight needs no key where clients are configured: browsers send none with it', async (t) => {
  const { reply } = await preflighted(t, { origins: ['*'] }, page, { clients: [{ name: 'one', sha256: 'a'.repeat(64) }] })
  assert.deepEqual([reply?.status, reply?.header('access-control-allow-origin')], [204, '*'])
})

test('an answer has our headers once, whatever the upstream says', async (t) => {
  const theirs = {
    'access-control-allow-origin': '*',
    'access-control-allow-credentials': 'true',
    'access-control-expose-headers': 'x-theirs',
    vary: 'accept-encoding',
    'x-request-id': 'r1',
  }
  const upstream = await provider(t, chat('hi', theirs))
  const sidecar = await startSidecar(t, upstream.url, { cors: { origins: [page], credentials: true } })
  const client = await rawClient(t, sidecar.port)
  const body = '{"model":"m","messages":[]}'
  client.send(`POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\norigin: ${page}\r\ncontent-length: ${body.length}\r\n\r\n${body}`)
  const [reply] = repliesIn(await client.until('chat.completion'))
  const named = (name: string): string[] => reply?.lines.filter(([key]) => key === name).map(([, value]) => value) ?? []
  assert.deepEqual(named('access-control-allow-origin'), [page])
  assert.deepEqual(named('access-control-allow-credentials'), ['true'])
  assert.deepEqual(named('vary'), ['accept-encoding, origin'])
  assert.equal(named('access-control-expose-headers').length, 1)
  assert.match(named('access-control-expose-headers')[0] ?? '', /\bx-request-id\b.*\bx-outrider-call\b/)
  // The upstream may have rules of its own about it.
  assert.equal((await upstream.request(0)).headers.origin, page)
})

test('what an answer depends on is said once, where the upstream says so too', async (t) => {
  const told = ['Origin', 'Accept-Encoding, origin', '*', 'x-origin']
  const upstream = await provider(
    t,
    told.map((vary) => answers(200, {}, { vary })),
  )
  const sidecar = await startSidecar(t, upstream.url, { cors: { origins: [page] } })
  const varies: (string | null)[] = []
  for (const _vary of told) varies.push((await fetch(`${sidecar.url}/models`)).headers.get('vary'))
  assert.deepEqual(varies, ['Origin', 'Accept-Encoding, origin', '*', 'x-origin, origin'])
})

test('a page that calls with credentials may read every header of ours by its name', async (t) => {
  const sidecar = await startSidecar(t, await deadUpstream(), { cors: { origins: [page], credentials: true } })
  const reply = await fetch(`${sidecar.url}/chat/completions`, { method: 'POST', body: '{}', headers: { origin: page } })
  const exposed = new Set((reply.headers.get('access-control-expose-headers') ?? '').split(', '))
  const readme = readFileSync(join(import.meta.dirname, '../../README.md'), 'utf8')
  const told = new Set([...readme.matchAll(/`(x-outrider-[a-z-]+)/g)].map(([, name = '']) => name))
  assert.ok(told.size > 5)
  for (const name of told) assert.ok(exposed.has(name), name)
})

test('a page may read the errors that are ours', async (t) => {
  const sidecar = await startSidecar(t, await deadUpstream(), { cors: { origins: ['*'] } })
  const reply = await fetch(`${sidecar.url}/chat/completions`, { method: 'POST', body: '{}', headers: { origin: page } })
  assert.deepEqual([reply.status, reply.headers.get('access-control-allow-origin')], [502, '*'])
  assert.equal(reply.headers.get('access-control-expose-headers'), '*')
  assert.deepEqual([reply.headers.get('x-outrider-error'), reply.headers.get('x-outrider-fault')], ['connect_failed', 'upstream'])
  await reply.text()
})

test('another origin gets the answer without permission, and not that of the upstream either', async (t) => {
  const upstream = await provider(t, chat('hi', { 'access-control-allow-origin': '*' }))
  const sidecar = await startSidecar(t, upstream.url, { cors: { origins: [page] } })
  const reply = await fetch(`${sidecar.url}/chat/completions`, { method: 'POST', body: '{}', headers: { origin: 'https://evil.example' } })
  assert.deepEqual([reply.headers.get('access-control-allow-origin'), reply.headers.get('vary')], [null, 'origin'])
  await reply.text()
})

test('OPTIONS that is no preflight passes', async (t) => {
  const upstream = await provider(t, answers(200))
  const sidecar = await startSidecar(t, upstream.url, { cors: { origins: ['*'] } })
  assert.equal((await fetch(`${sidecar.url}/models`, { method: 'OPTIONS' })).status, 200)
  assert.equal(upstream.seen.length, 1)
})
