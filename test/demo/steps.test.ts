import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { connect, type Socket } from 'node:net'
import { test, type TestContext } from 'node:test'
import {
  acknowledged,
  answers,
  blackhole,
  chat,
  cutAfter,
  deadUpstream,
  deaf,
  early,
  endAfter,
  endlessHeader,
  flood1xx,
  garbage,
  hangUp,
  noLength,
  paced,
  provider,
  rawUpstream,
  sse,
  sseBytes,
  stall,
  stallAfter,
  stallAfterHead,
  testCertificates,
  tooLong,
  tooShort,
  trailers,
  type Owner,
  type Step,
} from '../fixtures/provider.ts'

/** An owner whose end the test itself brings about. */
function owner() {
  const hooks: (() => unknown)[] = []
  const t = { after: (hook: () => unknown) => hooks.push(hook) } as unknown as Owner
  const end = async () => {
    for (const hook of hooks) await hook()
  }
  return { t, end }
}

function open(url: string, body = '{"model":"m"}', headers: Record<string, string> = {}) {
  const secure = url.startsWith('https:')
  const options = { method: 'POST', agent: false as const, headers, ...(secure && { ca: testCertificates().ca.cert }) }
  const req = (secure ? httpsRequest : httpRequest)(`${url}/v1/chat/completions`, options)
  const response = once(req, 'response').then(([res]) => res as IncomingMessage)
  response.catch(() => {})
  req.on('error', () => {})
  req.end(body)
  return { req, response }
}

/** Status and body, or the error that ended it, with what had come before. */
async function ask(url: string, body?: string, headers?: Record<string, string>) {
  const { response } = open(url, body, headers)
  try {
    const res = await response
    const chunks: string[] = []
    let error = ''
    try {
      for await (const chunk of res) chunks.push(String(chunk))
    } catch (err) {
      error = (err as NodeJS.ErrnoException).code ?? ''
    }
    return { status: res.statusCode, headers: res.headers, trailers: res.trailers, body: chunks.join(''), error }
  } catch (err) {
    return { status: undefined, headers: {}, trailers: {}, body: '', error: (err as NodeJS.ErrnoException).code ?? '' }
  }
}

const play = async (t: TestContext, step: Step) => ask((await provider(t, [step])).url)

test('a request beyond the script is cut and fails the test', async () => {
  const { t, end } = owner()
  const { url, seen } = await provider(t, [answers(200, { a: 1 })])
  assert.equal((await ask(url)).body, '{"a":1}')
  assert.equal((await ask(url)).error, 'ECONNRESET')
  assert.equal(seen.length, 2)
  await assert.rejects(end(), /request 2 is beyond the script: POST \/v1\/chat\/completions/)
})

test('a step that throws fails the test, a script that is kept does not', async () => {
  const broken = owner()
  const { url } = await provider(broken.t, [() => assert.equal(1, 2)])
  assert.equal((await ask(url)).status, undefined)
  await assert.rejects(broken.end(), /request 1: AssertionError/)
  const kept = owner()
  await provider(kept.t, [answers(200)])
  await kept.end()
})

test('bytes that are no HTTP fail the test', async () => {
  const { t, end } = owner()
  const { port } = await provider(t, [])
  const socket = connect(port, '127.0.0.1').on('error', () => {})
  socket.end('GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n')
  await once(socket.resume(), 'close')
  await assert.rejects(end(), /no HTTP/)
})

test('what the upstream got is kept to the byte', async (t) => {
  const { url, seen, received } = await provider(t, [answers(201, 'plain', { 'x-a': ['1', '2'] })], { record: true })
  const answer = await ask(url, '{"model": "m" }', { 'X-Odd': 'Case' })
  assert.deepEqual([answer.status, answer.body, answer.headers['x-a']], [201, 'plain', '1, 2'])
  const [first] = seen
  assert.ok(first)
  assert.equal((await first.whole).toString(), '{"model": "m" }')
  assert.deepEqual(first.rawHeaders.slice(0, 2), ['X-Odd', 'Case'])
  assert.equal(await first.closed, false)
  assert.match(String(received()[0]), /^POST \/v1\/chat\/completions HTTP\/1\.1\r\nX-Odd: Case\r\n[^]*\r\n\r\n\{"model": "m" \}$/)
})

test('a lone step is played for every request', async (t) => {
  const upstream = await provider(t, answers(204, ''))
  await ask(upstream.url)
  await ask(upstream.url)
  assert.deepEqual([upstream.seen.length, upstream.connections], [2, 2])
})

test('chat answers as the request asks', async (t) => {
  const { url } = await provider(t, chat('one two'))
  const whole = JSON.parse((await ask(url)).body) as { choices: { message: { content: string } }[] }
  assert.equal(whole.choices[0]?.message.content, 'one two')
  const { body, headers } = await ask(url, '{"model":"m","stream":true,"stream_options":{"include_usage":true}}')
  assert.match(String(headers['content-type']), /^text\/event-stream/)
  assert.match(body, /"content":" two"[^]*"usage":\{"prompt_tokens"[^]*data: \[DONE\]\n\n$/)
})

test('streams carry exactly the events of the script', async (t) => {
  const events = await play(t, sse('one', { type: 'named', n: 1 }, 'two\nlines', '[DONE]'))
  assert.equal(events.body, 'data: one\n\nevent: named\ndata: {"type":"named","n":1}\n\ndata: two\ndata: lines\n\ndata: [DONE]\n\n')
  assert.equal((await play(t, sseBytes(Buffer.from('data: a'), '\r', '\n\r\n'))).body, 'data: a\r\n\r\n')
  assert.deepEqual((await play(t, trailers({ 'x-sum': '7' }, 'one'))).trailers, { 'x-sum': '7' })
  const ended = await play(t, endAfter('one'))
  assert.deepEqual([ended.body, ended.error], ['data: one\n\n', ''])
})

test('faults end an answer as their names say', async (t) => {
  const cut = await play(t, cutAfter('one', 'two'))
  assert.deepEqual([cut.status, cut.body, cut.error], [200, 'data: one\n\ndata: two\n\n', 'ECONNRESET'])
  assert.equal((await play(t, hangUp())).error, 'ECONNRESET')
  assert.match((await play(t, garbage())).error, /^HPE_/)
  assert.match((await play(t, endlessHeader())).error, /^HPE_HEADER_OVERFLOW/)
  const short = await play(t, tooShort())
  assert.deepEqual([short.body, short.error], ['{"less":', 'ECONNRESET'])
  const bare = await play(t, noLength('{"a":1}'))
  assert.deepEqual([bare.body, bare.error, bare.headers['content-length']], ['{"a":1}', '', undefined])
  assert.equal((await play(t, tooLong())).body, '{}')
  assert.equal((await play(t, flood1xx(50))).body, '{}')
})

test('waits that never end are seen to be left by the client', async (t) => {
  for (const step of [stall(), stallAfterHead(), stallAfter('one')]) {
    const upstream = await provider(t, [step])
    const { req, response } = open(upstream.url)
    const seen = await upstream.request(0)
    await Promise.race([response, seen.whole])
    req.destroy()
    assert.equal(await seen.closed, true)
  }
})

test('a deaf upstream takes no more than the head of a request', async (t) => {
  const upstream = await provider(t, [deaf()])
  const { req } = open(upstream.url, 'x'.repeat(32 << 20))
  const seen = await upstream.request(0)
  assert.equal(seen.method, 'POST')
  assert.ok(req.writableLength > 0)
  assert.equal(seen.body.length, 0)
  req.destroy()
})

test('an early answer comes before the request is whole', async (t) => {
  const { port } = await provider(t, [early(413)])
  const socket = connect(port, '127.0.0.1').on('error', () => {})
  socket.write('POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\nonly this')
  const [bytes] = (await once(socket, 'data')) as [Buffer]
  assert.match(String(bytes), /^HTTP\/1\.1 413 /)
  await once(socket.resume(), 'close')
})

test('a paced stream sends when told and knows when the client has left', async (t) => {
  const stream = paced()
  const { url } = await provider(t, [stream])
  const { req, response } = open(url)
  await stream.started
  const res = await response
  res.on('error', () => {})
  await stream.send('one')
  assert.equal(String(((await once(res, 'data')) as [Buffer])[0]), 'data: one\n\n')
  req.destroy()
  assert.equal(await stream.closed, true)
})

test('an acknowledged stream sends the next event only after the one before was acknowledged', async (t) => {
  const stream = acknowledged('one', 'two')
  const { url } = await provider(t, [stream])
  const res = await open(url).response
  const got: string[] = []
  res.on('data', (chunk) => got.push(String(chunk)))
  await once(res, 'data')
  // What the server sends without leave would be here after a round trip on the same machine.
  await ask((await provider(t, [answers(200)])).url)
  assert.deepEqual(got, ['data: one\n\n'])
  await stream.ack()
  await once(res, 'data')
  assert.deepEqual(got, ['data: one\n\n', 'data: two\n\n'])
  await stream.ack()
  await once(res, 'end')
  assert.equal(await stream.closed, false)
})

test('over TLS the same steps play, a reset included', async (t) => {
  const { server, ca, client } = testCertificates()
  const upstream = await provider(t, [chat('hi'), cutAfter('one')], { tls: server, record: true })
  assert.match((await ask(upstream.url)).body, /"content":"hi"/)
  const cut = await ask(upstream.url)
  assert.deepEqual([cut.body, cut.error], ['data: one\n\n', 'ECONNRESET'])
  assert.match(String(upstream.received()[1]), /^POST /)
  const mutual = await provider(t, [answers(200)], { tls: { ...server, ca: ca.cert, requestCert: true } })
  assert.match((await ask(mutual.url)).error, /CERTIFICATE_REQUIRED/)
  const req = httpsRequest(mutual.url, { agent: false, ca: ca.cert, cert: client.cert, key: client.key }).end()
  const [res] = (await once(req, 'response')) as [IncomingMessage]
  assert.equal(res.resume().statusCode, 200)
})

test('a raw upstream writes what it likes and keeps what came', async (t) => {
  const script = async (socket: Socket, bytes: { until(what: string): Promise<Buffer> }) => {
    await bytes.until('{"model":"m"}')
    socket.end('HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhello')
  }
  const plain = await rawUpstream(t, script)
  assert.equal((await ask(plain.url)).body, 'hello')
  assert.match(String(await (await plain.connection(0)).closed), /^POST [^]*\{"model":"m"\}$/)
  const secure = await rawUpstream(t, script, { tls: testCertificates().server })
  assert.equal((await ask(secure.url)).body, 'hello')
})

test('a dead upstream refuses, a black hole swallows', async (t) => {
  const dead = await deadUpstream()
  assert.equal((await ask(dead)).error, 'ECONNREFUSED')
  assert.notEqual(await deadUpstream(), dead)
  for (const options of [{}, { tls: testCertificates().server }]) {
    const hole = await blackhole(t, options)
    const { req } = open(hole.url, 'x'.repeat(32 << 20))
    const [socket] = (await once(req, 'socket')) as [Socket]
    await once(socket, options.tls === undefined ? 'connect' : 'secureConnect')
    await new Promise((resolve) => setImmediate(resolve))
    assert.ok(req.writableLength > 0)
    req.destroy()
  }
})
