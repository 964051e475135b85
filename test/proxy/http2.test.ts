import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createSecureServer, type Http2Session, type ServerHttp2Stream } from 'node:http2'
import type { AddressInfo, Socket } from 'node:net'
import { test, type TestContext } from 'node:test'
import { answers, provider, testCertificates } from '../fixtures/provider.ts'
import { startSidecar, testKey, type Sidecar } from '../fixtures/startSidecar.ts'

const { ca, server: certificate } = testCertificates()
const tls = { cert: certificate.cert, key: certificate.key }

type Play = (stream: ServerHttp2Stream, headers: Readonly<Record<string, unknown>>, session: Http2Session) => void

/** An upstream that speaks HTTP/2 and nothing else. */
async function http2Upstream(t: TestContext, play: Play) {
  const sessions: Http2Session[] = []
  const sockets = new Set<Socket>()
  const server = createSecureServer(tls)
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
  })
  server.on('session', (session) => {
    sessions.push(session)
    session.on('error', () => {})
  })
  server.on('stream', (stream: ServerHttp2Stream, headers: Readonly<Record<string, unknown>>) => {
    stream.on('error', () => {})
    if (stream.session !== undefined) play(stream, headers, stream.session)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return { url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`, sessions }
}

const start = (t: TestContext, url: string): Promise<Sidecar> => startSidecar(t, url, { network: { ca: ca.certPath } }, { http2: true })

const call = (sidecar: Sidecar, init: RequestInit = {}): Promise<Response> =>
  fetch(`${sidecar.url}/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{"model":"m"}',
    signal: AbortSignal.timeout(10_000),
    ...init,
  })

const streamed = { body: '{"model":"m","stream":true}' }
const eventStream = { ':status': 200, 'content-type': 'text/event-stream' }

/** Reads a stream until `text` has come. */
async function readUntil(reader: ReadableStreamDefaultReader<Uint8Array>, text: string): Promise<string> {
  let all = ''
  while (!all.includes(text)) {
    const { value, done } = await reader.read()
    if (done) break
    all += Buffer.from(value).toString()
  }
  return all
}

function reader(reply: Response): ReadableStreamDefaultReader<Uint8Array> {
  assert(reply.body !== null)
  return reply.body.getReader()
}

test('many calls share one connection at the same time, each with its key, its body and its answer', async (t) => {
  const seen: unknown[] = []
  const ready: (() => void)[] = []
  const upstream = await http2Upstream(t, (stream, headers) => {
    seen.push([headers[':method'], headers[':path'], headers['authorization'], headers['connection'], headers['transfer-encoding']])
    let body = ''
    stream.on('data', (chunk: Buffer) => {
      body += chunk.toString()
    })
    stream.on('end', () => {
      ready.push(() => {
        stream.respond({ ':status': 200, 'content-type': 'application/json' })
        stream.end(body)
      })
      // After the first, which opens the connection, none is answered before all are there.
      if (seen.length === 1 || seen.length === 51) for (const answer of ready.splice(0)) answer()
    })
  })
  const sidecar = await start(t, upstream.url)
  assert.equal((await call(sidecar)).status, 200)
  const bodies = Array.from({ length: 50 }, (_, n) => JSON.stringify({ model: `m${n}` }))
  const echoes = await Promise.all(bodies.map(async (body) => (await call(sidecar, { body })).text()))
  assert.deepEqual(echoes, bodies)
  assert.equal(upstream.sessions.length, 1)
  assert.deepEqual(seen[7], ['POST', '/v1/chat/completions', `Bearer ${testKey}`, undefined, undefined])
  const metrics = await (await fetch(`${sidecar.adminUrl}/metrics`)).text()
  assert.match(metrics, /outrider_connections\{state="open"\} 1/)
})

test('an answer without content-length is whole when its stream has ended, whatever it holds', async (t) => {
  const upstream = await http2Upstream(t, (stream) => {
    stream.respond({ ':status': 200, 'content-type': 'application/json' })
    stream.end('{"cut like this by the upstream itself":')
  })
  const reply = await call(await start(t, upstream.url))
  assert.equal(reply.status, 200)
  assert.equal(await reply.text(), '{"cut like this by the upstream itself":')
})

test('a stream that the upstream resets is not passed off as whole, and its neighbours go on', async (t) => {
  const streams: ServerHttp2Stream[] = []
  const upstream = await http2Upstream(t, (stream) => {
    streams.push(stream)
    stream.respond(eventStream)
    stream.write(`data: {"n":${streams.length}}\n\n`)
  })
  const sidecar = await start(t, upstream.url)
  const first = reader(await call(sidecar, streamed))
  await readUntil(first, '{"n":1}')
  const second = reader(await call(sidecar, streamed))
  await readUntil(second, '{"n":2}')
  assert.equal(upstream.sessions.length, 1)

  streams[0]?.close(8)
  assert.match(await readUntil(first, 'no such text'), /reply_cut/)
  streams[1]?.end('data: [DONE]\n\n')
  assert.match(await readUntil(second, 'no such text'), /\[DONE\]/)
})

test("a client's cancel ends its stream at the upstream, and no other", async (t) => {
  const streams: ServerHttp2Stream[] = []
  const upstream = await http2Upstream(t, (stream) => {
    streams.push(stream)
    stream.respond(eventStream)
    stream.write(`data: {"n":${streams.length}}\n\n`)
  })
  const sidecar = await start(t, upstream.url)
  const kept = reader(await call(sidecar, streamed))
  await readUntil(kept, '{"n":1}')
  const leaving = new AbortController()
  const left = reader(await call(sidecar, { ...streamed, signal: leaving.signal }))
  await readUntil(left, '{"n":2}')
  const [, other] = streams
  assert(other !== undefined)
  const closed = once(other, 'close')
  leaving.abort()
  await closed
  assert.equal(other.aborted, true)
  streams[0]?.end('data: [DONE]\n\n')
  assert.match(await readUntil(kept, 'no such text'), /\[DONE\]/)
  assert.equal(upstream.sessions.length, 1)
  assert.equal((await sidecar.callLine(0))['error'], 'client_gone')
})

test('after GOAWAY what has begun is finished, and the next call gets a new connection', async (t) => {
  const streams: ServerHttp2Stream[] = []
  const upstream = await http2Upstream(t, (stream) => {
    streams.push(stream)
    stream.respond(eventStream)
    stream.write(`data: {"n":${streams.length}}\n\n`)
    if (streams.length > 1) stream.end('data: [DONE]\n\n')
  })
  const sidecar = await start(t, upstream.url)
  const first = reader(await call(sidecar, streamed))
  await readUntil(first, '{"n":1}')
  upstream.sessions[0]?.goaway()
  // Until the sidecar has seen it, a call may still go out on the old connection.
  for (let n = 0; n < 100 && upstream.sessions.length === 1; n++) await (await call(sidecar, streamed)).text()
  assert.equal(upstream.sessions.length, 2)
  streams[0]?.write('data: {"late":true}\n\n')
  streams[0]?.end('data: [DONE]\n\n')
  assert.match(await readUntil(first, 'no such text'), /"late":true[^]*\[DONE\]/)
})

test('a connection that breaks fails its calls, and the next call gets a new one', async (t) => {
  const upstream = await http2Upstream(t, (stream, _headers, session) => {
    if (upstream.sessions.length === 1) return session.destroy()
    stream.respond({ ':status': 200, 'content-type': 'application/json', 'content-length': '2' })
    stream.end('{}')
  })
  const sidecar = await start(t, upstream.url)
  const broken = await call(sidecar)
  assert.equal(broken.status, 502)
  assert.match(String(broken.headers.get('x-outrider-error')), /no_reply|stale_connection/)
  assert.equal((await call(sidecar)).status, 200)
  assert.equal(upstream.sessions.length, 2)
})

test('an upstream without HTTP/2 is spoken to in HTTP/1.1, and one with it too unless told otherwise', async (t) => {
  const older = await provider(t, answers(200), { tls })
  const sidecar = await start(t, older.url)
  assert.equal((await call(sidecar)).status, 200)
  assert.equal(older.seen.length, 1)

  const newer = await http2Upstream(t, (stream) => {
    stream.respond({ ':status': 200 }, { endStream: true })
  })
  const without = await startSidecar(t, newer.url, { network: { ca: ca.certPath } })
  assert.equal((await call(without)).status, 502, 'a server that speaks nothing else is not tricked into it')
  assert.equal(newer.sessions.length, 0)
})

test('a large body goes over HTTP/2 whole, in both directions', async (t) => {
  const upstream = await http2Upstream(t, (stream) => {
    stream.respond({ ':status': 200, 'content-type': 'application/octet-stream' })
    stream.pipe(stream)
  })
  const sidecar = await start(t, upstream.url)
  const body = Buffer.alloc(3_000_000, 'abcdefg')
  const reply = await call(sidecar, { body, headers: { 'content-type': 'application/octet-stream' } })
  assert.equal(reply.status, 200)
  assert.ok(Buffer.from(await reply.arrayBuffer()).equals(body))
})
