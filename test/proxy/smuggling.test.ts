import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import fc from 'fast-check'
import { answers, provider } from '../fixtures/provider.ts'
import { chatHead, exchange, goodCall, rawClient, refusalIn, repliesIn } from '../fixtures/rawClient.ts'
import { startSidecar } from '../fixtures/startSidecar.ts'

const chunked = `${chatHead}Transfer-Encoding: chunked\r\n\r\n`
const get = (lines: string, version = 'HTTP/1.1'): string => `GET /v1/models ${version}\r\n${lines}\r\n\r\n`

/** Each is followed by a good call on the same connection, which must not be executed either. */
const refused: Readonly<Record<string, string>> = {
  'a length and a coding': `${chatHead}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
  'two lengths': `${chatHead}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}`,
  'the same length twice': `${chatHead}Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}`,
  'a list of lengths': `${chatHead}Content-Length: 2, 2\r\n\r\n{}`,
  'a length with a sign': `${chatHead}Content-Length: +2\r\n\r\n{}`,
  'a length in hex': `${chatHead}Content-Length: 0x2\r\n\r\n{}`,
  'an endless length': `${chatHead}Content-Length: 99999999999999999999999\r\n\r\n{}`,
  'an empty length': `${chatHead}Content-Length: \r\n\r\n{}`,
  'a folded line': get('Host: sidecar\r\nX-A: one\r\n two'),
  'a bare line feed': 'GET /v1/models HTTP/1.1\nHost: sidecar\n\n',
  'a bare line feed in the header': get('Host: sidecar\nX-A: b'),
  'a bare carriage return': get('Host: sidecar\r\nX-A: b\rX-C: d'),
  'a NUL in a value': get('Host: sidecar\r\nX-A: b\0c'),
  'a space before the colon': get('Host: sidecar\r\nX-A : b'),
  'a length with a space before the colon': `${chatHead}Content-Length : 2\r\n\r\n{}`,
  'a line without a colon': get('Host: sidecar\r\nnonsense'),
  'two Host': get('Host: one\r\nHost: two'),
  'no Host': 'GET /v1/models HTTP/1.1\r\nAccept: */*\r\n\r\n',
  'an empty Host': get('Host:'),
  'gzip and chunked': `${chatHead}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`,
  'chunked twice': `${chatHead}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
  'an unknown coding': `${chatHead}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n`,
  identity: `${chatHead}Transfer-Encoding: identity\r\n\r\n0\r\n\r\n`,
  'an empty coding': `${chatHead}Transfer-Encoding:\r\n\r\n0\r\n\r\n`,
  'chunked in HTTP/1.0': `${chatHead.replace('1.1', '1.0')}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
  'a whole URL': get('Host: sidecar').replace('/v1', 'http://169.254.169.254/v1'),
  CONNECT: 'CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n',
  'TRACE, which would have the key repeated': get('Host: sidecar').replace('GET', 'TRACE'),
  'an unknown method': get('Host: sidecar').replace('GET', 'GETS'),
  'HTTP/2 in words': get('Host: sidecar', 'HTTP/2.0'),
  'HTTP/0.9': get('Host: sidecar', 'HTTP/0.9'),
  'HTTP/1.2': get('Host: sidecar', 'HTTP/1.2'),
  'a bad chunk size': `${chunked}zz\r\n{}\r\n0\r\n\r\n`,
  'a chunk size with a sign': `${chunked}-2\r\n{}\r\n0\r\n\r\n`,
  'a chunk size with a prefix': `${chunked}0x2\r\n{}\r\n0\r\n\r\n`,
  'an endless chunk size': `${chunked}fffffffffffffffff\r\n{}\r\n0\r\n\r\n`,
  'a chunk without its end': `${chunked}2\r\n{}X\r\n0\r\n\r\n`,
  'a chunk ended by a line feed': `${chunked}2\n{}\n0\n\n`,
  'an over-long header': get(`Host: sidecar\r\nX-A: ${'a'.repeat(17_000)}`),
  'too many lines': get(`Host: sidecar\r\n${'X-A: b\r\n'.repeat(100)}X-A: b`),
  'no HTTP at all': '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello\r\n\r\n',
}

async function nothingReached(t: TestContext): Promise<{ port: number; reached: () => number }> {
  const upstream = await provider(t, answers(200))
  const sidecar = await startSidecar(t, upstream.url)
  return { port: sidecar.port, reached: () => upstream.seen.length }
}

for (const [what, bytes] of Object.entries(refused)) {
  test(`refused, and closed before the next call: ${what}`, async (t) => {
    const { port, reached } = await nothingReached(t)
    const text = await exchange(t, port, bytes + goodCall)
    const { status, kind, fault, code, close } = refusalIn(text)
    assert.doesNotMatch(text, /"call":""/)
    const tooLarge = what === 'an over-long header' || what === 'too many lines'
    assert.deepEqual(
      { status, kind, fault, code, close },
      { status: tooLarge ? 431 : 400, kind: tooLarge ? 'header_too_large' : 'bad_request', fault: 'client', code: kind, close: true },
    )
    assert.equal(reached(), 0)
  })
}

test('a header of as many lines as allowed passes whole, its last line too', async (t) => {
  const upstream = await provider(t, answers(200))
  const sidecar = await startSidecar(t, upstream.url, { limits: { headers: 40 } })
  const client = await rawClient(t, sidecar.port)
  client.send(`${chatHead}${'X-A: b\r\n'.repeat(37)}Content-Length: 2\r\n\r\n{}`)
  await client.until('\r\n\r\n{}')
  assert.equal((await upstream.request(0)).body.toString(), '{}')
  client.send(`${chatHead}${'X-A: b\r\n'.repeat(38)}Content-Length: 2\r\n\r\n{}`)
  assert.equal(repliesIn(await client.closed)[1]?.status, 431)
})

test('chunk extensions are read over and not passed on', async (t) => {
  const upstream = await provider(t, answers(200), { record: true })
  const sidecar = await startSidecar(t, upstream.url)
  const client = await rawClient(t, sidecar.port)
  client.send(`${chunked}2;name=value\r\n{}\r\n0;last\r\n\r\n`)
  await client.until('\r\n\r\n{}')
  assert.equal((await upstream.request(0)).body.toString(), '{}')
  assert.doesNotMatch(upstream.received().join(''), /name=value|;last/)
})

test('a streamed body that stops being HTTP is aborted at the upstream, and refused', async (t) => {
  const upstream = await provider(t, ({ body }) => body.then(() => {}))
  const sidecar = await startSidecar(t, upstream.url)
  const client = await rawClient(t, sidecar.port)
  client.send(
    `POST /v1/files HTTP/1.1\r\nHost: a\r\nContent-Type: application/octet-stream\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbytes\r\n`,
  )
  const seen = await upstream.request(0)
  client.send('nonsense\r\n')
  assert.equal(await seen.closed, true)
  assert.equal(refusalIn(await client.closed).kind, 'bad_request')
  await assert.rejects(seen.whole)
})

test('a call that is being answered is finished before the broken one behind it is refused', async (t) => {
  const release = Promise.withResolvers<void>()
  const upstream = await provider(t, (exchanged) => release.promise.then(() => answers(200, { first: true })(exchanged)))
  const sidecar = await startSidecar(t, upstream.url)
  const client = await rawClient(t, sidecar.port)
  client.send(`${goodCall}nonsense\r\n\r\n${goodCall}`)
  await upstream.request(0)
  release.resolve()
  const [first, second, ...more] = repliesIn(await client.closed)
  assert.equal(first?.body, '{"first":true}')
  assert.equal(second?.header('x-outrider-error'), 'bad_request')
  assert.deepEqual(more, [])
  assert.equal(upstream.seen.length, 1)
})

test('whatever bytes come, they are answered or the connection closes, and the next good call works', async (t) => {
  const upstream = await provider(t, answers(200))
  const sidecar = await startSidecar(t, upstream.url, { timeouts: { clientHead: '300ms', clientBody: '300ms' } })
  const seeds = [goodCall, `${chatHead}Content-Length: 2\r\n\r\n{}`, `${chunked}2\r\n{}\r\n0\r\n\r\n`, ...Object.values(refused)]
  const change = fc.record({
    at: fc.nat(400),
    cut: fc.nat(6),
    put: fc.oneof(
      fc.constantFrom('\r\n', '\n', '\0', ' ', ':', 'chunked', '0', ';', ','),
      fc.string({ unit: 'binary-ascii', maxLength: 6 }),
    ),
  })
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...seeds), fc.array(change, { maxLength: 4 }), async (seed, changes) => {
      let bytes = seed
      for (const { at, cut, put } of changes) {
        const from = at % (bytes.length + 1)
        bytes = bytes.slice(0, from) + put + bytes.slice(from + cut)
      }
      const client = await rawClient(t, sidecar.port)
      client.send(bytes)
      // The bounds above hold for what is not whole.
      const answered = client.until('HTTP/1.').catch(() => '')
      await Promise.race([answered, client.closed])
      for (const { status } of client.text() === '' ? [] : repliesIn(client.text().split('\r\n\r\n')[0] + '\r\n\r\n'))
        assert.ok(status < 500)
      client.socket.destroy()
    }),
    { numRuns: 150 },
  )
  const client = await rawClient(t, sidecar.port)
  client.send(goodCall)
  assert.equal(repliesIn(await client.until('\r\n\r\n{}'))[0]?.status, 200)
})
