import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import {
  answers,
  early,
  endlessHeader,
  flood1xx,
  garbage,
  noLength,
  provider,
  rawUpstream,
  tooLong,
  tooShort,
  trailers,
  type Step,
} from '../fixtures/provider.ts'
import { startSidecar, type Sidecar } from '../fixtures/startSidecar.ts'
import { post, uploadHead, wireClient } from '../fixtures/wireClient.ts'

const call = async (sidecar: Sidecar): Promise<string> => {
  const headers = { 'content-type': 'application/json' }
  const reply = await fetch(`${sidecar.url}/chat/completions`, { method: 'POST', headers, body: '{}' })
  const text = await reply.text()
  return `${reply.status} ${reply.headers.get('x-outrider-error') ?? text}`
}

/** An upstream that writes these bytes, in these parts, for each request, and then ends the connection as told. */
async function writes(t: TestContext, parts: readonly string[], end: 'end' | 'reset' | 'stay' = 'stay'): Promise<Sidecar> {
  const upstream = await rawUpstream(t, async (socket, bytes) => {
    for (let n = 1; ; n++) {
      await bytes.until((all) => all.toString('latin1').split('\r\n\r\n{}').length > n)
      for (const part of parts) {
        await new Promise<void>((done) => {
          socket.write(part, () => setImmediate(done))
        })
      }
      if (end === 'end') socket.end()
      else if (end === 'reset') socket.resetAndDestroy()
    }
  })
  return startSidecar(t, upstream.url, { timeouts: { idle: '2s', total: '5s' } })
}

/** What one client gets, with how its connection ended. */
async function got(t: TestContext, sidecar: Sidecar): Promise<{ code: string | undefined; text: string }> {
  const client = await wireClient(t, sidecar.port, post('{}', '/v1/chat/completions', 'connection: close'))
  return client.closed
}

async function through(t: TestContext, step: Step): Promise<string> {
  const upstream = await provider(t, step)
  return call(await startSidecar(t, upstream.url))
}

const head = (...lines: readonly string[]): string => ['HTTP/1.1 200 OK', 'content-type: application/json', ...lines, '', ''].join('\r\n')
const whole = `${head('content-length: 10')}{"ok":1  }`

test('bytes that are no HTTP are bad_reply', async (t) => {
  assert.equal(await through(t, garbage()), '502 bad_reply')
  assert.equal(await through(t, garbage('SSH-2.0-OpenSSH_9.2\r\n')), '502 bad_reply')
})

test('a header without end is bad_reply', async (t) => {
  assert.equal(await through(t, endlessHeader()), '502 bad_reply')
})

test('a few interim answers pass, a flood of them is bad_reply', async (t) => {
  assert.equal(await through(t, flood1xx(20)), '200 {}')
  assert.equal(await through(t, flood1xx(21)), '502 bad_reply')
  assert.equal(await through(t, flood1xx(Infinity)), '502 bad_reply')
})

test('early hints before the answer reach the client, once each', async (t) => {
  const hint = 'HTTP/1.1 103 Early Hints\r\nlink: </a>; rel=preload\r\n\r\n'
  const sidecar = await writes(t, [hint, whole])
  const { text } = await got(t, sidecar)
  assert.match(text, /^HTTP\/1.1 103 Early Hints\r\n[^]*link: <\/a>; rel=preload\r\n[^]*HTTP\/1.1 200 OK/i)
  assert.equal(text.split('103 Early').length, 2)
})

test('an interim answer that cannot be passed on does not spoil the one behind it', async (t) => {
  const hint = 'HTTP/1.1 103 Early Hints\r\nlink: no link at all\r\nx-odd: caf\xe9 \u20ac\r\n\r\n'
  assert.equal(await call(await writes(t, [hint, whole])), '200 {"ok":1  }')
})

test('a 100 Continue that nobody asked for is passed over, also three of them and in any parts', async (t) => {
  const go = 'HTTP/1.1 100 Continue\r\n\r\n'
  for (const parts of [
    [go + whole],
    [go, whole],
    [go + go + go + whole],
    `${go}${whole}`.split(''),
    `HTTP/1.1 100 Go\r\nx-a: b\r\n\r\n${whole}`.split(''),
  ]) {
    const sidecar = await writes(t, parts)
    // Twice on one connection: what was taken out of the first answer must not harm the second.
    assert.equal(await call(sidecar), '200 {"ok":1  }')
    assert.equal(await call(sidecar), '200 {"ok":1  }')
    assert.equal(sidecar.proxy.residue().connections, 1)
  }
})

test('100 Continue without end is bad_reply', async (t) => {
  assert.equal(await call(await writes(t, ['HTTP/1.1 100 Continue\r\n\r\n'.repeat(30)])), '502 bad_reply')
})

test('a switch of protocols that nobody asked for is bad_reply', async (t) => {
  const sidecar = await writes(t, ['HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n'])
  assert.equal(await call(sidecar), '502 bad_reply')
})

test('a head that two readers could take for answers of two lengths is bad_reply', async (t) => {
  assert.equal(await call(await writes(t, [`${head('content-length: 2', 'content-length: 3')}{}x`])), '502 bad_reply')
  assert.equal(
    await call(await writes(t, [`${head('content-length: 2', 'transfer-encoding: chunked')}2\r\n{}\r\n0\r\n\r\n`])),
    '502 bad_reply',
  )
})

test('an answer that breaks off inside its head is no_reply', async (t) => {
  assert.equal(await call(await writes(t, ['HTTP/1.1 200 OK\r\ncontent-ty'], 'end')), '502 no_reply')
  assert.equal(await call(await writes(t, ['HTTP/1.1 200 OK\r\ncontent-ty'], 'reset')), '502 no_reply')
})

test('a body shorter than declared ends in a reset, and is logged as cut', async (t) => {
  const upstream = await provider(t, tooShort())
  const sidecar = await startSidecar(t, upstream.url)
  const { code, text } = await got(t, sidecar)
  assert.match(text, /^HTTP\/1.1 200/)
  assert.equal(code, 'ECONNRESET')
  assert.equal((await sidecar.callLine(0))['error'], 'reply_cut')
})

test('of a body longer than declared only what was declared is passed on, and the connection is not used again', async (t) => {
  const upstream = await provider(t, [tooLong(), answers(200, '{"next":1}')])
  const sidecar = await startSidecar(t, upstream.url)
  assert.equal(await call(sidecar), '200 {}')
  assert.equal(await call(sidecar), '200 {"next":1}')
  assert.equal(upstream.connections, 2)
})

test('chunks that break off, or are none, end in a reset', async (t) => {
  for (const end of ['end', 'reset'] as const) {
    const sidecar = await writes(t, [head('transfer-encoding: chunked'), '5\r\n{"a":\r\n'], end)
    const { code } = await got(t, sidecar)
    assert.equal(code, 'ECONNRESET')
  }
  const sidecar = await writes(t, [head('transfer-encoding: chunked'), '5\r\n{"a":\r\nzz\r\n'])
  assert.equal((await got(t, sidecar)).code, 'ECONNRESET')
})

test('JSON whose end only the end of the connection marks is passed on when it is whole', async (t) => {
  assert.equal(await through(t, noLength('{"ok":"}"}')), '200 {"ok":"}"}')
  for (const end of ['end', 'reset'] as const) assert.equal(await call(await writes(t, [head(), '{"ok":1}'], end)), '200 {"ok":1}')
})

test('JSON whose end only the end of the connection marks ends in a reset when it is not whole', async (t) => {
  for (const end of ['end', 'reset'] as const) {
    const sidecar = await writes(t, [head('connection: close'), '{"ok":[1,2'], end)
    const { code, text } = await got(t, sidecar)
    assert.equal(code, 'ECONNRESET', text)
    assert.equal((await sidecar.callLine(0))['error'], 'reply_cut')
  }
})

test('content that cannot show its end ends in a reset when only the end of the connection marks it', async (t) => {
  for (const type of ['text/plain', 'audio/mpeg', 'application/x-ndjson']) {
    const { code } = await got(
      t,
      await writes(t, [`HTTP/1.1 200 OK\r\ncontent-type: ${type}\r\nconnection: close\r\n\r\n`, 'perhaps half'], 'end'),
    )
    assert.equal(code, 'ECONNRESET', type)
  }
})

test('a client can go on with its connection after an answer without length', async (t) => {
  const upstream = await provider(t, [noLength('{"first":1}'), answers(200, '{"second":2}')])
  const sidecar = await startSidecar(t, upstream.url)
  const client = await wireClient(t, sidecar.port, post('{}'))
  await client.until('"first":1')
  await client.until('0\r\n\r\n')
  client.socket.write(post('{}'))
  assert.match(await client.until('"second":2'), /HTTP\/1.1 200 OK[^]*HTTP\/1.1 200 OK/)
})

test('204, 304 and answers to HEAD have no body and end at once', async (t) => {
  for (const status of ['204 No Content', '304 Not Modified']) {
    const { text } = await got(t, await writes(t, [`HTTP/1.1 ${status}\r\netag: "a"\r\n\r\n`]))
    assert.match(text, new RegExp(`^HTTP/1.1 ${status}\r\n[^]*etag: "a"[^]*\r\n\r\n$`))
  }
  const empty = await got(t, await writes(t, ['HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n']))
  assert.doesNotMatch(empty.text, /content-length/i, 'a length where there is no body')
  const upstream = await provider(t, answers(200, '{"ok":1}'))
  const sidecar = await startSidecar(t, upstream.url)
  const client = await wireClient(t, sidecar.port, 'HEAD /v1/models HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n')
  const { text } = await client.closed
  assert.match(text, /^HTTP\/1.1 200 OK\r\n[^]*content-length: 8\r\n[^]*\r\n\r\n$/)
})

test('trailers of the upstream reach the client', async (t) => {
  const upstream = await provider(t, trailers({ 'x-checksum': 'abc' }, '{"choices":[{"finish_reason":"stop"}]}', '[DONE]'))
  const sidecar = await startSidecar(t, upstream.url)
  const { text } = await got(t, sidecar)
  assert.match(text, /\r\n0\r\nx-checksum: abc\r\n\r\n$/i)
})

test('trailers announced where there can be none harm nobody', async (t) => {
  assert.equal(await call(await writes(t, [`${head('content-length: 2', 'trailer: x-checksum')}{}`])), '200 {}')
})

test('answers in HTTP/1.0 are passed on, with a length and without', async (t) => {
  const lines = 'HTTP/1.0 200 OK\r\ncontent-type: application/json\r\n'
  assert.equal(await call(await writes(t, [`${lines}content-length: 2\r\n\r\n{}`], 'end')), '200 {}')
  assert.equal(await call(await writes(t, [`${lines}\r\n{"a":1}`], 'end')), '200 {"a":1}')
})

test('header values outside of ASCII arrive byte for byte', async (t) => {
  const sidecar = await writes(t, [`${head('content-length: 2', 'x-note: caf\xc3\xa9 \xe2\x82\xac')}{}`])
  const { text } = await got(t, sidecar)
  assert.match(text, /^HTTP\/1.1 200[^]*x-note: /)
})

test('an odd status is passed on, an impossible one is bad_reply', async (t) => {
  assert.match(await call(await writes(t, ['HTTP/1.1 799 Odd\r\ncontent-length: 2\r\n\r\n{}'])), /^799/)
  assert.equal(await call(await writes(t, ['HTTP/1.1 099 Odd\r\ncontent-length: 2\r\n\r\n{}'])), '502 bad_reply')
})

test('an answer before the upload is whole reaches the client, which may still be sending', async (t) => {
  const upstream = await provider(t, early(413))
  const sidecar = await startSidecar(t, upstream.url)
  const client = await wireClient(t, sidecar.port, uploadHead(32 * 1024 * 1024), Buffer.alloc(1024 * 1024, 'u'))
  const text = await client.until('"early"')
  assert.match(text, /^HTTP\/1.1 413/)
  assert.doesNotMatch(text, /x-outrider-error/)
})

test('an answer before a large JSON body is whole reaches the client', async (t) => {
  const upstream = await provider(t, early(413))
  const sidecar = await startSidecar(t, upstream.url)
  const headers = { 'content-type': 'application/json' }
  const body = JSON.stringify({ input: 'x'.repeat(16 * 1024 * 1024) })
  const reply = await fetch(`${sidecar.url}/embeddings`, { method: 'POST', headers, body })
  assert.equal(reply.status, 413)
  assert.equal(reply.headers.get('x-outrider-error'), null)
})
