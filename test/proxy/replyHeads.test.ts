import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { rawUpstream } from '../fixtures/provider.ts'
import { chatHead, exchange, rawClient, repliesIn } from '../fixtures/rawClient.ts'
import { startSidecar } from '../fixtures/startSidecar.ts'

const call = `${chatHead}Connection: close\r\nContent-Length: 2\r\n\r\n{}`
/** In front of a head that comes with it, this has undici read that head itself. */
const hint = 'HTTP/1.1 103 Early Hints\r\n\r\n'

const usualNames = ['Content-Type', 'X-Request-ID', 'Server', 'x-ratelimit-remaining-tokens', 'Set-Cookie', 'set-cookie', 'Via']
const oddNames = ['__proto__', 'constructor', 'X A', 'X-A ', ' X-A', '', 'X\tA', 'X-\xe9', 'X\0A', 'Connection', 'Trailer', 'Upgrade']
const usualValues = ['application/json', 'req_1', 'req_2', 'a, b', 'a:b', '"q"', 'a=1; Path=/']
const oddValues = [
  '',
  ' ',
  ' a',
  'a ',
  '\ta\t',
  'caf\xe9',
  'a\tb',
  'a\0b',
  'a\x7fb',
  'a\rb',
  'a\nb',
  'a\r\n b',
  'a\r\nb',
  'close',
  'x-request-id',
]
const framings = [
  ...Array.from({ length: 12 }, () => 'Content-Length: 2'),
  'content-length:2',
  'Content-Length:  2 ',
  'Content-Length: 02',
  'Content-Length: +2',
  'Content-Length: 2, 2',
  'Content-Length: 2\r\nContent-Length: 2',
  'Content-Length: 2\r\nContent-Length: 3',
  'Content-Length: 3',
  'Content-Length: 1',
  'Content-Length : 2',
  'Content-Length: 2\r\nTransfer-Encoding: chunked',
  'Transfer-Encoding: gzip',
  'X-None: 1',
]
const statusLines = [
  ...Array.from({ length: 8 }, () => 'HTTP/1.1 200 OK'),
  'HTTP/1.1 201 Created',
  'HTTP/1.1 404 Not Found',
  'HTTP/1.1 204 No Content',
  'HTTP/1.1 200',
  'HTTP/1.1 200 ',
  'HTTP/1.1 200 caf\xe9',
  'HTTP/1.1 20 OK',
  'HTTP/1.1 2000 OK',
  'HTTP/1.1  200 OK',
  'HTTP/1.0 200 OK',
  'HTTP/2.0 200 OK',
  'http/1.1 200 OK',
]

const line = fc
  .tuple(
    fc.oneof({ weight: 9, arbitrary: fc.constantFrom(...usualNames) }, { weight: 2, arbitrary: fc.constantFrom(...oddNames) }),
    fc.constantFrom(...Array.from({ length: 9 }, () => ': '), ':', ':  ', ' : '),
    fc.oneof(
      { weight: 9, arbitrary: fc.constantFrom(...usualValues) },
      { weight: 2, arbitrary: fc.constantFrom(...oddValues) },
      { weight: 1, arbitrary: fc.string({ unit: 'binary-ascii', maxLength: 5 }) },
    ),
  )
  .map((parts) => parts.join(''))

const head = fc
  .tuple(fc.constantFrom(...statusLines), fc.array(line, { maxLength: 4 }), fc.constantFrom(...framings), fc.array(line, { maxLength: 3 }))
  .map(([status, before, framing, behind]) => [status, ...before, framing, ...behind, '', ''].join('\r\n'))

test('a head means the same, whether we read it or undici does, whatever is in it', async (t) => {
  let answer = ''
  const upstream = await rawUpstream(t, async (socket, bytes) => {
    await bytes.until('\r\n\r\n{}')
    socket.end(answer, 'latin1')
  })
  const sidecar = await startSidecar(t, upstream.url)
  const told = async (bytes: string): Promise<string> => {
    answer = bytes
    const text = (await exchange(t, sidecar.port, call)).replace(/^HTTP\/1\.1 103 .*?\r\n\r\n/s, '')
    // What undici says of nonsense depends on which piece of it is the first.
    const failed = /^x-outrider-error: (.*)/m.exec(text)?.[1]
    return failed ?? text.replace(/^(?:date|x-outrider-call): .*\r\n/gim, '')
  }
  await fc.assert(
    fc.asyncProperty(head, async (bytes) => {
      assert.deepEqual(await told(`${bytes}{}`), await told(`${hint}${bytes}{}`), JSON.stringify(bytes))
    }),
    { numRuns: 600 },
  )
})

test('heads of one kind, whose values change, each say what they say', async (t) => {
  const answer = (n: number): string => {
    const id = `req_${n}${'x'.repeat(n % 5)}`
    const cookies = `Set-Cookie: a=${n}\r\nset-cookie: b=${n % 2}\r\n`
    const state = n % 3 === 0 ? 'HTTP/1.1 404 Not Found' : 'HTTP/1.1 200 OK'
    const odd = n % 4 === 0 ? `X-Now-And-Then: ${n}\r\n` : ''
    const body = JSON.stringify({ n })
    return `${state}\r\nServer: same\r\nX-Request-ID: ${id}\r\n${cookies}${odd}Content-Length: ${body.length}\r\n\r\n${body}`
  }
  const upstream = await rawUpstream(t, (socket, bytes) => {
    let n = 0
    socket.on('data', () => {
      while (bytes.all().toString('latin1').split('\r\n\r\n{}').length > n + 1) socket.write(answer(++n))
    })
  })
  const sidecar = await startSidecar(t, upstream.url)
  const client = await rawClient(t, sidecar.port)
  const times = 60
  for (let n = 1; n <= times; n++) {
    client.send(`${chatHead}Content-Length: 2\r\n\r\n{}`)
    await client.until(`{"n":${n}}`)
  }
  const replies = repliesIn(client.text())
  assert.equal(upstream.connections.length, 1)
  for (const [index, reply] of replies.entries()) {
    const n = index + 1
    const told = reply.lines
      .filter(([name]) => /^(?:server|x-request-id|set-cookie|x-now-and-then)$/.test(name))
      .map((pair) => pair.join(' '))
    assert.deepEqual(
      { status: reply.status, told: told.toSorted(), body: reply.body },
      {
        status: n % 3 === 0 ? 404 : 200,
        told: [
          'server same',
          `x-request-id req_${n}${'x'.repeat(n % 5)}`,
          `set-cookie a=${n}`,
          `set-cookie b=${n % 2}`,
          ...(n % 4 === 0 ? [`x-now-and-then ${n}`] : []),
        ].toSorted(),
        body: JSON.stringify({ n }),
      },
    )
  }
})

test('a body that looks like a head stays a body', async (t) => {
  const looks = 'HTTP/1.1 200 OK\r\nX-Odd: yes\r\nContent-Length: 2\r\n\r\n{}'
  const release = Promise.withResolvers<void>()
  const upstream = await rawUpstream(t, async (socket, bytes) => {
    await bytes.until('\r\n\r\n{}')
    socket.write(`HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: ${looks.length + 1}\r\n\r\n.`)
    await release.promise
    socket.write(looks)
  })
  const sidecar = await startSidecar(t, upstream.url)
  const client = await rawClient(t, sidecar.port)
  client.send(`${chatHead}Content-Length: 2\r\n\r\n{}`)
  await client.until('\r\n\r\n.')
  release.resolve()
  assert.equal(repliesIn(await client.until('\r\n\r\n{}'))[0]?.body, `.${looks}`)
})
