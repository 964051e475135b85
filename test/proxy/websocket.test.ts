import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo } from 'node:net'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { rawUpstream, testCertificates } from '../fixtures/provider.ts'
import { rawClient } from '../fixtures/rawClient.ts'
import { ask, closeOf, messages, switching, tunnelKey, tunnelled, webSocketUpstream } from '../fixtures/websocket.ts'

test('text and binary messages pass in both directions as they are', async (t) => {
  const upstream = await webSocketUpstream(t)
  const { connect: open } = await tunnelled(t, upstream.url)
  const socket = open()
  await once(socket, 'open')
  socket.send('hällo')
  assert.deepEqual(await once(socket, 'message'), [Buffer.from('hällo'), false])
  const large = Buffer.alloc(3_000_000, 'ab')
  socket.send(large)
  const [data, binary] = (await once(socket, 'message')) as [Buffer, boolean]
  assert.ok(binary && data.equals(large))
})

test('the upstream sees our key and no credential of the client', async (t) => {
  const upstream = await webSocketUpstream(t)
  const { connect: open } = await tunnelled(t, upstream.url)
  const headers = {
    authorization: 'Bearer of-the-client',
    'api-key': 'of-the-client',
    'x-api-key': 'of-the-client',
    'x-goog-api-key': 'of-the-client',
    cookie: 'a=of-the-client',
    'proxy-authorization': 'Basic of-the-client',
    'x-outrider-anything': 'of-the-client',
    'openai-beta': 'realtime=v1',
  }
  await once(open('/v1/realtime', { headers }), 'open')
  const seen = upstream.requests[0]
  assert.equal(seen?.headers.authorization, `Bearer ${tunnelKey}`)
  assert.equal(JSON.stringify(seen?.rawHeaders).includes('of-the-client'), false)
  assert.equal(seen?.headers['openai-beta'], 'realtime=v1')
  assert.equal(seen?.headers.host, new URL(upstream.url).host)
})

test("a header of the client that has the name of the provider's own is replaced", async (t) => {
  const upstream = await webSocketUpstream(t)
  const { connect: open } = await tunnelled(t, upstream.url, { scheme: { header: 'X-Provider-Key', prefix: '' } })
  await once(open('/v1/realtime', { headers: { 'x-provider-key': 'of-the-client' } }), 'open')
  assert.equal(upstream.requests[0]?.headers['x-provider-key'], tunnelKey)
})

test('a key among the subprotocols does not reach the upstream, the other subprotocols do', async (t) => {
  const upstream = await webSocketUpstream(t)
  const { connect: open } = await tunnelled(t, upstream.url)
  const socket = open('/v1/realtime', { protocols: ['realtime', 'openai-insecure-api-key.sk-browser', 'openai-beta.realtime-v1'] })
  await once(socket, 'open')
  assert.equal(upstream.requests[0]?.headers['sec-websocket-protocol'], 'realtime, openai-beta.realtime-v1')
  assert.equal(socket.protocol, 'realtime')
})

test('path and query arrive byte for byte behind those of the base URL', async (t) => {
  const upstream = await webSocketUpstream(t)
  const { connect: open } = await tunnelled(t, upstream.url, { base: { path: '/azure/v1', query: 'api-version=7' } })
  await once(open('/v1/responses//x?a=%7E|b?c&d'), 'open')
  assert.equal(upstream.requests[0]?.url, '/azure/v1/responses//x?api-version=7&a=%7E|b?c&d')
})

test('headers for one hop stay on it, and repeated ones are repeated, in the request and in the 101', async (t) => {
  const extra = 'x-two: a\r\nx-two: b\r\nset-cookie: c=1\r\nset-cookie: d=2\r\nkeep-alive: timeout=5\r\nx-outrider-call: forged\r\n'
  const upstream = await rawUpstream(t, async (socket, bytes) => {
    await bytes.until('\r\n\r\n')
    socket.write(switching(extra))
  })
  const { port } = await tunnelled(t, upstream.url)
  const client = await rawClient(t, port)
  client.send(ask('/v1/realtime', 'x-hop: gone\r\nconnection: x-hop\r\nte: trailers\r\nx-list: 1\r\nX-List: 2\r\nexpect: 100-continue\r\n'))
  const head = await client.until('\r\n\r\n')
  assert.match(head, /^HTTP\/1.1 101 Switching Protocols\r\n/)
  assert.match(head, /x-two: a\r\nx-two: b\r\nset-cookie: c=1\r\nset-cookie: d=2\r\n/)
  assert.match(head, /\r\nconnection: Upgrade\r\n/i)
  assert.match(head, /\r\nx-outrider-call: call-0\r\nx-outrider-upstream: fake\r\n/)
  assert.doesNotMatch(head, /keep-alive|forged/)
  const asked = (await (await upstream.connection(0)).until('\r\n\r\n')).toString()
  assert.match(asked, /x-list: 1\r\nx-list: 2\r\n/)
  assert.doesNotMatch(asked, /x-hop|gone|trailers|expect/i)
  assert.equal(asked.match(/upgrade: websocket/gi)?.length, 1)
})

test('a close of the client reaches the upstream with its code and reason', async (t) => {
  const closed = Promise.withResolvers<string>()
  const upstream = await webSocketUpstream(t, (socket) => {
    socket.on('close', (code, reason) => {
      closed.resolve(`${code} ${reason.toString()}`)
    })
  })
  const { connect: open, reported } = await tunnelled(t, upstream.url)
  const socket = open()
  await once(socket, 'open')
  socket.close(4001, 'enough')
  assert.equal(await closed.promise, '4001 enough')
  assert.deepEqual(await closeOf(socket), { code: 4001, reason: 'enough' })
  assert.equal((await reported(0)).facts.error, undefined)
})

test('a close of the upstream reaches the client with its code and reason', async (t) => {
  const upstream = await webSocketUpstream(t, (socket) => {
    socket.send('last words')
    socket.close(4002, 'session expired')
  })
  const { connect: open, reported } = await tunnelled(t, upstream.url)
  const socket = open()
  const last = messages(socket, 1)
  assert.deepEqual(await closeOf(socket), { code: 4002, reason: 'session expired' })
  assert.deepEqual(await last, ['last words'])
  assert.equal((await reported(0)).facts.error, undefined)
})

test('the report comes once, at the end, with status, bytes and upstream', async (t) => {
  const upstream = await webSocketUpstream(t)
  const { connect: open, reported, calls, admission, tunnel } = await tunnelled(t, upstream.url)
  const socket = open('/v1/responses')
  await once(socket, 'open')
  assert.equal(tunnel.open(), 1)
  assert.equal(admission.inFlight, 1)
  socket.send('12345')
  await once(socket, 'message')
  assert.equal(calls.length, 0)
  socket.close(1000)
  const { facts } = await reported(0)
  // Five bytes and a close frame with its code; towards a server each has a mask.
  const { status, bytesIn, bytesOut, upstream: name, operation, error, attempts } = facts
  assert.deepEqual(
    { status, bytesIn, bytesOut, name, operation, error, attempts },
    { status: 101, bytesIn: 11 + 8, bytesOut: 7 + 4, name: 'fake', operation: 'responses', error: undefined, attempts: 1 },
  )
  assert.ok(facts.connectedMs > 0 && facts.sentMs > 0 && facts.headMs > 0 && facts.firstByteMs > 0)
  await tunnel.settled()
  assert.equal(calls.length, 1)
  assert.equal(tunnel.open(), 0)
  assert.equal(admission.inFlight, 0)
})

test('over TLS the upstream is checked against our CA, and asked for by its name', async (t) => {
  const { server, stranger } = testCertificates()
  const name = Promise.withResolvers<string>()
  const SNICallback = (asked: string, done: (err: null) => void): void => {
    name.resolve(asked)
    done(null)
  }
  const good = await webSocketUpstream(t, undefined, { tls: { ...server, SNICallback } })
  const { connect: open } = await tunnelled(t, good.url)
  const socket = open()
  await once(socket, 'open')
  assert.equal(await name.promise, 'localhost')
  socket.send('secret')
  assert.deepEqual(await messages(socket, 1), ['secret'])
  const bad = await webSocketUpstream(t, undefined, { tls: stranger })
  const other = await tunnelled(t, bad.url)
  const [, res] = (await once(other.connect(), 'unexpected-response')) as [unknown, { headers: object }]
  assert.equal((res.headers as Record<string, string>)['x-outrider-error'], 'tls_failed')
})

test('a client that comes over TLS is carried too', async (t) => {
  const upstream = await webSocketUpstream(t)
  const { connect: open } = await tunnelled(t, upstream.url, { listenTls: true })
  const socket = open()
  await once(socket, 'open')
  socket.send('hello')
  assert.deepEqual(await messages(socket, 1), ['hello'])
})

test('the way leads through the HTTP proxy and to the fixed address where those are set', async (t) => {
  const { server: certificate } = testCertificates()
  const upstream = await webSocketUpstream(t, undefined, { tls: certificate })
  const asked: string[] = []
  const proxy = createServer((near) => {
    near.once('data', (head: Buffer) => {
      asked.push(head.toString().split('\r\n')[0] ?? '')
      const far = connect(upstream.port, '127.0.0.1', () => {
        near.write('HTTP/1.1 200 OK\r\n\r\n')
        near.pipe(far).pipe(near)
      })
      far.on('error', () => near.destroy())
      near.on('error', () => far.destroy())
    })
  })
  proxy.listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  t.after(() => proxy.close())
  const { port } = proxy.address() as AddressInfo
  const egress = { host: '127.0.0.1', port, secure: false, authorization: undefined }
  const through = await tunnelled(t, upstream.url, { place: { host: 'model.example', egress } as never })
  await once(through.connect(), 'open')
  assert.deepEqual(asked, [`CONNECT model.example:${upstream.port} HTTP/1.1`])
  const fixed = await tunnelled(t, upstream.url, { place: { host: 'model.example', addresses: ['127.0.0.1'] } })
  await once(fixed.connect(), 'open')
  assert.equal(upstream.requests.length, 2)
})

test('http-proxy is loaded by the first upgrade and not before', () => {
  const here = fileURLToPath(new URL('../fixtures/websocketChild.ts', import.meta.url))
  const said = execFileSync(process.execPath, [here], { encoding: 'utf8' })
  assert.deepEqual(JSON.parse(said), { listening: false, upgraded: true })
})
