import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { brotliCompressSync, gzipSync } from 'node:zlib'
import { answers, provider, rawUpstream, trailers } from '../fixtures/provider.ts'
import { chatHead, goodCall, rawClient, repliesIn } from '../fixtures/rawClient.ts'
import { startSidecar } from '../fixtures/startSidecar.ts'

const odd: Readonly<Record<string, string | Buffer>> = {
  'duplicate keys': '{"model":"a","model":"b","x":1,"x":2}',
  'huge numbers': '{"seed":123456789012345678901234567890,"t":1e400,"u":-0.0,"v":1.10}',
  whitespace: '\r\n\t {\n\n"model" \t:\r\n"m"   ,"messages":[ ]}\n\n\n',
  'invalid UTF-8': Buffer.from([0x7b, 0x22, 0x6d, 0x22, 0x3a, 0x22, 0xff, 0xfe, 0xc0, 0x80, 0x22, 0x7d]),
  'a byte order mark': '\uFEFF{"model":"m"}',
  'unknown fields': '{"model":"m","never_heard_of":{"deep":[1,{"y":null}]},"stream":false}',
  'no JSON at all': 'model=m&stream=true',
  'broken JSON': '{"model":"m","messages":[',
  escapes: '{"mod\\u0065l":"m","a":"\\u0000\\/\\uD800"}',
  'a compressed body': gzipSync('{"model":"m"}'),
  nothing: '',
}

for (const [what, body] of Object.entries(odd)) {
  test(`a body passes byte for byte: ${what}`, async (t) => {
    const bytes = Buffer.from(body)
    const upstream = await provider(t, answers(200))
    const sidecar = await startSidecar(t, upstream.url)
    const client = await rawClient(t, sidecar.port)
    client.send(Buffer.concat([Buffer.from(`${chatHead}Content-Length: ${bytes.length}\r\n\r\n`), bytes]))
    await client.until('\r\n\r\n{}')
    // The same in chunks of one byte.
    client.send(`${chatHead}Transfer-Encoding: chunked\r\n\r\n`)
    for (const byte of bytes) client.send(Buffer.from([0x31, 0x0d, 0x0a, byte, 0x0d, 0x0a]))
    client.send('0\r\n\r\n')
    await client.until('\r\n\r\n{}', 2)
    for (const seen of upstream.seen) {
      assert.deepEqual(seen.body, bytes)
      assert.equal(seen.headers['content-length'], String(bytes.length))
    }
  })
}

test('a large JSON body goes out with its length and unchanged', async (t) => {
  const upstream = await provider(t, answers(200))
  const sidecar = await startSidecar(t, upstream.url)
  const body = Buffer.from(`{"model":"m","input":"${'0123456789'.repeat(300_000)}"}`)
  const client = await rawClient(t, sidecar.port)
  client.send(`${chatHead}Content-Length: ${body.length}\r\n\r\n`)
  client.send(body)
  await client.until('\r\n\r\n{}')
  const seen = await upstream.request(0)
  assert.equal(seen.headers['content-length'], String(body.length))
  assert.equal(seen.headers['transfer-encoding'], undefined)
  assert.equal(hashOf(seen.body), hashOf(body))
})

test('the trailers of a request are dropped, with all they say', async (t) => {
  const upstream = await provider(t, answers(200), { record: true })
  const sidecar = await startSidecar(t, upstream.url)
  const client = await rawClient(t, sidecar.port)
  client.send(
    `${chatHead}Trailer: x-secret\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX-Secret: 1\r\nAuthorization: Bearer x\r\n\r\n`,
  )
  await client.until('\r\n\r\n{}')
  assert.doesNotMatch(upstream.received().join(''), /secret|Bearer x/i)
})

test('the trailers of an answer pass', async (t) => {
  const upstream = await provider(t, trailers({ 'x-sum': 'abc' }, '[DONE]'))
  const sidecar = await startSidecar(t, upstream.url)
  const client = await rawClient(t, sidecar.port)
  client.send(goodCall)
  assert.match(await client.until('abc'), /\r\n0\r\nx-sum: abc\r\n/)
})

for (const [coding, bytes] of [['gzip', gzipSync('{"a":1}')] as const, ['br', brotliCompressSync('{"a":1}')] as const]) {
  test(`an answer in ${coding} passes untouched`, async (t) => {
    const upstream = await provider(t, answers(200, bytes, { 'content-encoding': coding }))
    const sidecar = await startSidecar(t, upstream.url)
    const client = await rawClient(t, sidecar.port)
    client.send(goodCall.replace('\r\n\r\n', '\r\nAccept-Encoding: gzip, br\r\n\r\n'))
    await client.until(bytes.toString('latin1'))
    const [reply] = repliesIn(client.text())
    assert.equal(reply?.header('content-encoding'), coding)
    assert.equal(reply?.body, bytes.toString('latin1'))
    assert.equal((await upstream.request(0)).headers['accept-encoding'], 'gzip, br')
  })
}

test('an answer whose status and header no client could be given does not end the process', async (t) => {
  const upstream = await rawUpstream(t, async (socket, bytes) => {
    await bytes.until('\r\n\r\n')
    socket.write('HTTP/1.1 999 \x80\xff odd\r\nContent-Length: 2\r\nX-Tab: a\tb\r\n\r\n{}', 'latin1')
  })
  const sidecar = await startSidecar(t, upstream.url)
  const client = await rawClient(t, sidecar.port)
  client.send(goodCall)
  assert.equal(repliesIn(await client.until('\r\n\r\n{}'))[0]?.status, 999)
})

const hashOf = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')
