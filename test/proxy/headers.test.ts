import assert from 'node:assert/strict'
import { test } from 'node:test'
import { answers, provider, rawUpstream } from '../fixtures/provider.ts'
import { exchange, goodCall, rawClient, repliesIn } from '../fixtures/rawClient.ts'
import { startSidecar, testKey } from '../fixtures/startSidecar.ts'

const get = (...lines: string[]): string => ['GET /v1/models HTTP/1.1', 'Host: sidecar', ...lines, '', ''].join('\r\n')

test('what belongs to one hop, to the client or to us goes no further; the rest keeps its order and its case', async (t) => {
  const upstream = await provider(t, answers(200))
  const sidecar = await startSidecar(t, upstream.url)
  const client = await rawClient(t, sidecar.port)
  client.send(
    get(
      'X-Tag: one',
      'Connection: X-Hop, close-not',
      'x-hop: 1',
      'connection: x-other',
      'X-OTHER: 2',
      'x-tAG: two',
      'Keep-Alive: timeout=5',
      'Proxy-Connection: keep-alive',
      'Proxy-Authorization: Basic c2VjcmV0',
      'TE: trailers',
      'Trailer: x',
      'Upgrade: h2c',
      'HTTP2-Settings: AAMAAABk',
      'Cookie: secret=1',
      'Authorization: Bearer secret',
      'api-key: secret',
      'x-api-key: secret',
      'x-goog-api-key: secret',
      'X-Outrider-Anything: secret',
      'X-Tag: three',
      'X-Bytes: caf\xc3\xa9',
    ),
  )
  await client.until('{}')
  const { rawHeaders } = await upstream.request(0)
  const host = upstream.url.slice('http://'.length)
  const trace = rawHeaders[rawHeaders.indexOf('traceparent') + 1] ?? ''
  assert.deepEqual(rawHeaders, [
    'host',
    host,
    'connection',
    'keep-alive',
    'X-Tag',
    'one',
    'x-tAG',
    'two',
    'X-Tag',
    'three',
    'X-Bytes',
    'caf\xc3\xa9',
    'traceparent',
    trace,
    'authorization',
    `Bearer ${testKey}`,
  ])
})

test('the header of an answer passes with its lists, its date and its bytes, without what belongs to one hop or looks like ours', async (t) => {
  const upstream = await rawUpstream(t, async (socket, bytes) => {
    await bytes.until('\r\n\r\n')
    const lines = [
      'Date: Tue, 01 Jan 2030 00:00:00 GMT',
      'Set-Cookie: a=1',
      'Set-Cookie: b=2; Path=/',
      'X-Bytes: caf\xc3\xa9',
      'X-List: one',
      'X-List: two',
      'Connection: X-Hop',
      'Connection: x-other, keep-alive',
      'X-Hop: 1',
      'X-Other: 2',
      'Keep-Alive: timeout=5',
      'Proxy-Authenticate: Basic',
      'X-Outrider-Call: forged',
      'X-Outrider-Error: forged',
      'x-outrider-anything: forged',
      'Content-Length: 2',
      'Content-Type: application/json',
    ]
    socket.write(`HTTP/1.1 200 OK\r\n${lines.join('\r\n')}\r\n\r\n{}`, 'latin1')
  })
  const sidecar = await startSidecar(t, upstream.url)
  const client = await rawClient(t, sidecar.port)
  client.send(get())
  const [reply] = repliesIn(await client.until('\r\n\r\n{}'))
  const lines = reply?.lines.map((line) => line.join(': ')) ?? []
  const call = reply?.header('x-outrider-call') ?? ''
  assert.notEqual(call, 'forged')
  assert.deepEqual(lines.toSorted(), [
    'connection: keep-alive',
    'content-length: 2',
    'content-type: application/json',
    'date: Tue, 01 Jan 2030 00:00:00 GMT',
    'keep-alive: timeout=75',
    'set-cookie: a=1',
    'set-cookie: b=2; Path=/',
    'x-bytes: caf\xc3\xa9',
    'x-list: one',
    'x-list: two',
    'x-outrider-attempts: 1',
    `x-outrider-call: ${call}`,
    'x-outrider-upstream: fake',
  ])
})

test('many calls go over one connection of the client, on both addresses of the loopback', async (t) => {
  const upstream = await provider(t, answers(200))
  const sidecar = await startSidecar(t, upstream.url)
  for (const address of sidecar.proxy.addresses) {
    const client = await rawClient(t, sidecar.port, address.startsWith('[') ? '::1' : '127.0.0.1')
    for (let n = 1; n <= 20; n++) {
      client.send(goodCall)
      await client.until('\r\n\r\n{}', n)
    }
  }
  assert.ok(sidecar.proxy.addresses.some((address) => address.startsWith('127.0.0.1:')))
  assert.equal(upstream.seen.length, 20 * sidecar.proxy.addresses.length)
  assert.equal(upstream.connections, 1)
})

test('a target that is not under /v1 gets our 404, and the connection goes on', async (t) => {
  const upstream = await provider(t, answers(200))
  const sidecar = await startSidecar(t, upstream.url)
  const targets = ['/', '/v2/models', '/v1x', '/V1/models', '/metrics', '/v1;x/models', '*', '/%76%31/models', '//v1/models']
  const client = await rawClient(t, sidecar.port)
  for (const target of targets) client.send(`OPTIONS ${target} HTTP/1.1\r\nHost: a\r\n\r\n`)
  client.send(goodCall)
  const replies = repliesIn(await client.until('\r\n\r\n{}'))
  assert.deepEqual(
    replies.map(({ status, header }) => [status, header('x-outrider-error')]),
    [...targets.map(() => [404, 'not_found']), [200, undefined]],
  )
  assert.equal(upstream.seen.length, 1)
})

test('a client that speaks no HTTP gets its refusal and nothing else', async (t) => {
  const upstream = await provider(t, answers(200))
  const sidecar = await startSidecar(t, upstream.url)
  assert.equal(repliesIn(await exchange(t, sidecar.port, 'hello\r\n\r\n')).length, 1)
})
