import assert from 'node:assert/strict'
import { hash } from 'node:crypto'
import { once } from 'node:events'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { SidecarError } from '../../sidecar/proxy/errors.ts'
import { answers, blackhole, deadUpstream, provider, rawUpstream } from '../fixtures/provider.ts'
import { rawClient } from '../fixtures/rawClient.ts'
import { ask, refusalOf, switching, tunnelled, webSocketUpstream, type Changes } from '../fixtures/websocket.ts'

interface Body {
  error: { message: string; type: string; code: string }
  outrider: { fault: string; call: string; upstream: string | null }
}

for (const status of [200, 401, 404, 429, 500]) {
  test(`an ordinary answer to the upgrade (${status}) passes as it is, and says who gave it`, async (t) => {
    const body = { error: { message: 'not today' } }
    const upstream = await rawUpstream(t, async (socket, bytes) => {
      await bytes.until('\r\n\r\n')
      const head = `HTTP/1.1 ${status} x\r\ncontent-type: application/json\r\nx-two: a\r\nx-two: b\r\nretry-after: 7\r\nkeep-alive: timeout=9\r\n`
      socket.write(`${head}transfer-encoding: chunked\r\n\r\n5\r\n{"err\r\n`)
      socket.write(`${(JSON.stringify(body).length - 5).toString(16)}\r\n${JSON.stringify(body).slice(5)}\r\n0\r\n\r\n`)
    })
    const { connect, reported } = await tunnelled(t, upstream.url)
    const answer = await refusalOf(connect())
    assert.equal(answer.status, status)
    assert.deepEqual(JSON.parse(answer.body), body)
    const { 'x-two': two, 'retry-after': after, 'x-outrider-upstream': name, 'x-outrider-call': call } = answer.headers
    assert.deepEqual({ two, after, name, call }, { two: 'a, b', after: '7', name: 'fake', call: 'call-0' })
    assert.equal(answer.headers['x-outrider-error'], undefined)
    assert.equal(answer.headers['keep-alive'], undefined)
    const { facts } = await reported(0)
    assert.deepEqual(
      { status: facts.status, error: facts.error, out: facts.bytesOut },
      { status, error: undefined, out: JSON.stringify(body).length },
    )
  })
}

test('an ordinary answer that is cut is not passed off as whole over TLS either', async (t) => {
  const upstream = await rawUpstream(t, async (socket, bytes) => {
    await bytes.until('\r\n\r\n')
    socket.write('HTTP/1.1 429 x\r\ncontent-length: 100\r\n\r\nonly this', () => socket.resetAndDestroy())
  })
  const { connect, reported } = await tunnelled(t, upstream.url, { listenTls: true })
  await assert.rejects(refusalOf(connect()))
  assert.equal((await reported(0)).facts.error, 'reply_cut')
})

test('an ordinary answer that is cut is reset, not passed off as whole', async (t) => {
  const upstream = await rawUpstream(t, async (socket, bytes) => {
    await bytes.until('\r\n\r\n')
    socket.write('HTTP/1.1 429 x\r\ncontent-length: 100\r\n\r\nonly this', () => socket.resetAndDestroy())
  })
  const { port, reported } = await tunnelled(t, upstream.url)
  const client = await rawClient(t, port)
  const failed = once(client.socket, 'error')
  client.send(ask())
  assert.equal(((await failed)[0] as NodeJS.ErrnoException).code, 'ECONNRESET')
  assert.equal((await reported(0)).facts.error, 'reply_cut')
})

test('an ordinary answer waits for a client that does not read it, and is whole in the end', async (t) => {
  const total = 32 * 1024 * 1024
  const upstream = await rawUpstream(t, async (socket, bytes) => {
    await bytes.until('\r\n\r\n')
    socket.write(`HTTP/1.1 200 x\r\ncontent-length: ${total}\r\n\r\n`)
    const chunk = Buffer.alloc(65_536, 'x')
    for (let sent = 0; sent < total; sent += chunk.length) if (!socket.write(chunk)) await once(socket, 'drain')
  })
  const { port, clients, dialled } = await tunnelled(t, upstream.url)
  const client = await rawClient(t, port)
  client.socket.pause()
  client.send(ask())
  while (clients[0]?.writableNeedDrain !== true || dialled[0]?.isPaused() !== true) await turn()
  assert.ok(clients[0].writableLength < 1_000_000)
  client.socket.resume()
  const all = await client.closed
  assert.equal(all.length - all.indexOf('\r\n\r\n') - 4, total)
})

test('after a 401 a key that has changed is tried once', async (t) => {
  const upstream = await provider(t, [answers(401, {}), answers(404, { error: 'second' })])
  let current = 'old'
  const refresh = (): Promise<string> => Promise.resolve((current = 'new'))
  const { connect } = await tunnelled(t, upstream.url, { key: { current: () => current, refresh } })
  const answer = await refusalOf(connect())
  assert.equal(answer.status, 404)
  assert.equal(answer.headers['x-outrider-attempts'], '2')
  assert.deepEqual(
    upstream.seen.map(({ headers }) => headers.authorization),
    ['Bearer old', 'Bearer new'],
  )
})

async function refused(
  t: Parameters<typeof tunnelled>[0],
  url: string,
  changes: Changes,
  path?: string,
): Promise<{ kind: string; status: number; body: Body }> {
  const { connect, reported } = await tunnelled(t, url, changes)
  const { status, headers, body } = await refusalOf(connect(path))
  const parsed = JSON.parse(body) as Body
  const kind = String(headers['x-outrider-error'])
  assert.equal(headers['content-type'], 'application/json')
  assert.equal(headers['x-outrider-call'], 'call-0')
  assert.equal(parsed.error.code, kind)
  assert.equal(parsed.outrider.call, 'call-0')
  const { facts } = await reported(0)
  assert.deepEqual({ status: facts.status, error: facts.error }, { status, error: kind })
  return { kind, status, body: parsed }
}

test('an upstream that cannot be reached gives a 502 that says so', async (t) => {
  const { kind, status, body } = await refused(t, await deadUpstream(), {})
  assert.deepEqual(
    { kind, status, upstream: body.outrider.upstream, type: body.error.type },
    { kind: 'connect_failed', status: 502, upstream: 'fake', type: 'upstream_error' },
  )
})

for (const [how, leave] of [
  [
    'resets',
    (socket: { resetAndDestroy: () => void }) => {
      socket.resetAndDestroy()
    },
  ],
  [
    'ends',
    (socket: { end: () => void }) => {
      socket.end()
    },
  ],
] as const) {
  test(`an upstream that ${how} the connection before the 101 gives a 502`, async (t) => {
    const upstream = await rawUpstream(t, async (socket, bytes) => {
      await bytes.until('\r\n\r\n')
      leave(socket)
    })
    const { kind, status, body } = await refused(t, upstream.url, {})
    assert.deepEqual({ kind, status, upstream: body.outrider.upstream }, { kind: 'no_reply', status: 502, upstream: 'fake' })
  })
}

test('an upstream that does not speak HTTP gives a 502', async (t) => {
  const upstream = await rawUpstream(t, async (socket, bytes) => {
    await bytes.until('\r\n\r\n')
    socket.write('SSH-2.0-x\r\n\r\n')
  })
  const { kind, status } = await refused(t, upstream.url, {})
  assert.deepEqual({ kind, status }, { kind: 'bad_reply', status: 502 })
})

test('the wait for the connection is bounded', async (t) => {
  const upstream = await blackhole(t)
  const { kind, status } = await refused(t, upstream.url.replace('http:', 'https:'), { connectMs: 100 })
  assert.deepEqual({ kind, status }, { kind: 'connect_timeout', status: 504 })
})

test('the wait for the 101 is bounded, interim answers or not', async (t) => {
  const upstream = await rawUpstream(t, async (socket, bytes) => {
    await bytes.until('\r\n\r\n')
    const again = (): void => {
      if (!socket.destroyed) socket.write('HTTP/1.1 103 Early Hints\r\n\r\n', () => setImmediate(again))
    }
    again()
  })
  const { kind, status } = await refused(t, upstream.url, { firstMs: 150 })
  assert.deepEqual({ kind, status }, { kind: 'first_event_timeout', status: 504 })
  await (
    await upstream.connection(0)
  ).closed
})

test('the total bounds the wait for the 101 too', async (t) => {
  const upstream = await blackhole(t)
  const { kind } = await refused(t, upstream.url, { totalMs: 150 })
  assert.equal(kind, 'total_timeout')
})

test('clients are known by their key, in a header or among the subprotocols', async (t) => {
  const upstream = await webSocketUpstream(t)
  const list = [{ name: 'app', sha256: hash('sha256', 'of-the-app') }]
  const { connect, reported, dialled } = await tunnelled(t, upstream.url, { clients: () => list })
  for (const options of [
    {},
    { headers: { authorization: 'Bearer wrong' } },
    { protocols: ['realtime', 'openai-insecure-api-key.wrong'] },
  ]) {
    const { status, headers } = await refusalOf(connect('/v1/realtime', options))
    assert.deepEqual([status, headers['x-outrider-error'], headers['x-outrider-upstream']], [401, 'unauthorized', undefined])
  }
  assert.equal(dialled.length, 0)
  for (const options of [{ headers: { 'api-key': 'of-the-app' } }, { protocols: ['realtime', 'openai-insecure-api-key.of-the-app'] }]) {
    const socket = connect('/v1/realtime', options)
    await once(socket, 'open')
    socket.close()
  }
  assert.equal((await reported(3)).facts.client, 'app')
  assert.equal((await reported(4)).facts.client, 'app')
  assert.equal(JSON.stringify(upstream.requests.map(({ rawHeaders }) => rawHeaders)).includes('of-the-app'), false)
})

test('only paths under /v1 are served, and none that climb', async (t) => {
  const upstream = await webSocketUpstream(t)
  assert.equal((await refused(t, upstream.url, {}, '/realtime')).kind, 'not_found')
  const { port } = await tunnelled(t, upstream.url)
  const client = await rawClient(t, port)
  client.send(ask('/v1/%2e%2e/admin'))
  assert.match(await client.closed, /^HTTP\/1.1 400 .*bad_request/s)
  assert.equal(upstream.requests.length, 0)
})

test('beyond the limit an upgrade is shed, and a place is free again when a WebSocket has ended', async (t) => {
  const upstream = await webSocketUpstream(t)
  const { connect, reported } = await tunnelled(t, upstream.url, { limit: 1 })
  const first = connect()
  await once(first, 'open')
  const { status, headers } = await refusalOf(connect())
  assert.deepEqual([status, headers['x-outrider-error'], headers['retry-after']], [503, 'proxy_overloaded', '1'])
  first.close()
  await reported(1)
  await once(connect(), 'open')
})

test('near the end of the grace an upgrade is refused', async (t) => {
  const upstream = await webSocketUpstream(t)
  const admission = { inFlight: 0, seen: 0, lives: new Set<never>(), closed: true } as NonNullable<Changes['admission']>
  const { kind, status } = await refused(t, upstream.url, { admission })
  assert.deepEqual({ kind, status }, { kind: 'draining', status: 503 })
})

test('without a usable key nobody is dialled', async (t) => {
  const upstream = await webSocketUpstream(t)
  const current = (): string => {
    throw new SidecarError('no_credential', 'the file is empty')
  }
  assert.equal((await refused(t, upstream.url, { key: { current, refresh: () => Promise.resolve(undefined) } })).kind, 'no_credential')
  assert.equal(upstream.requests.length, 0)
})

for (const [what, extra] of [
  ['a body', 'content-length: 5\r\n'],
  ['a chunked body', 'transfer-encoding: chunked\r\n'],
  ['two Host headers', 'host: b\r\n'],
]) {
  test(`an upgrade with ${what} is refused`, async (t) => {
    const upstream = await rawUpstream(t, (socket) => void socket.write(switching()))
    const { port, dialled } = await tunnelled(t, upstream.url)
    const client = await rawClient(t, port)
    client.send(ask('/v1/realtime', extra))
    assert.match(await client.closed, /^HTTP\/1.1 400 .*"code":"bad_request"/s)
    assert.equal(dialled.length, 0)
  })
}
