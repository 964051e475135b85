import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { answers, provider } from '../fixtures/provider.ts'
import { rawClient, repliesIn } from '../fixtures/rawClient.ts'
import { startSidecar } from '../fixtures/startSidecar.ts'

const cases: readonly (readonly [base: string, target: string, arrives: string])[] = [
  ['/v1', '/v1/models', '/v1/models'],
  ['/v1', '/v1', '/v1'],
  ['/v1', '/v1/', '/v1/'],
  ['/v1', '/v1?a=1', '/v1?a=1'],
  ['/v1/', '/v1/models', '/v1/models'],
  ['/v1', '/v1/models?b=2&a=1&b=2&&=&%20+', '/v1/models?b=2&a=1&b=2&&=&%20+'],
  ['/v1', '/v1/a%2Fb//c;d=1/%E2%82%AC?/../x', '/v1/a%2Fb//c;d=1/%E2%82%AC?/../x'],
  ['/v1', '/v1/a\\b"<>{}|^`', '/v1/a\\b"<>{}|^`'],
  ['/openai/v1?api-version=1', '/v1/chat/completions', '/openai/v1/chat/completions?api-version=1'],
  ['/openai/v1?api-version=1&x=%20', '/v1/models?z=1&a=2', '/openai/v1/models?api-version=1&x=%20&z=1&a=2'],
  ['/openai/v1?api-version=1', '/v1?a', '/openai/v1?api-version=1&a'],
  ['', '/v1/models?x', '/models?x'],
  ['', '/v1', '/'],
  ['', '/v1?x', '/?x'],
]

for (const [base, target, arrives] of cases) {
  test(`behind a base URL that ends in "${base}", ${target} is ${arrives}`, async (t) => {
    const upstream = await provider(t, answers(200))
    const sidecar = await startSidecar(t, upstream.url, {}, { url: upstream.url + base })
    const client = await rawClient(t, sidecar.port)
    client.send(`GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`)
    await client.until('\r\n\r\n{}')
    assert.equal((await upstream.request(0)).path, arrives)
  })
}

const climbing = [
  '/v1/..',
  '/v1/../admin',
  '/v1/a/../../admin',
  '/v1/./models',
  '/v1/%2e%2e/admin',
  '/v1/%2E./admin',
  '/v1/.%2e/admin',
  '/v1/%252e%252e/admin',
  '/v1/%25252e%25252e/admin',
  '/v1/..%2fadmin',
  '/v1/..%5cadmin',
  '/v1/..\\admin',
  '/v1/..;/admin',
  '/v1/..;a=b/admin',
  '/v1/a/..%3bx/admin',
  '/v1/..%00/admin',
  '/v1/..%23/admin',
  '/v1/a%2f..%2f..%2fadmin',
  `/v1/%${'25'.repeat(6)}2e./x`,
]

test('no path climbs out of the base path, however it is written', async (t) => {
  const upstream = await provider(t, answers(200))
  const sidecar = await startSidecar(t, upstream.url)
  const client = await rawClient(t, sidecar.port)
  for (const path of climbing) client.send(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`)
  const replies = repliesIn(await client.until('"code":"bad_request"', climbing.length))
  assert.deepEqual(
    replies.map(({ status }) => status),
    climbing.map(() => 400),
  )
  assert.equal(upstream.seen.length, 0)
})

test('behind a base URL without a path, two slashes do not name another server', async (t) => {
  const upstream = await provider(t, answers(200))
  const sidecar = await startSidecar(t, upstream.url, {}, { url: upstream.url })
  const client = await rawClient(t, sidecar.port)
  client.send('GET /v1//evil.example/x HTTP/1.1\r\nHost: a\r\n\r\nGET /v1/\\evil.example/x HTTP/1.1\r\nHost: a\r\n\r\n')
  const replies = repliesIn(await client.until('"code":"bad_request"', 2))
  assert.deepEqual(
    replies.map(({ status }) => status),
    [400, 400],
  )
  assert.equal(upstream.seen.length, 0)
})

/** How a server may read a path: decoded `times` times, backslashes as slashes, parameters off, dots resolved. */
function resolved(path: string, times: number): string {
  let plain = path.split(/[?#]/)[0] ?? ''
  for (let n = 0; n < times; n++)
    plain = plain.replace(/%([0-9a-f]{2})/gi, (_all, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
  const out: string[] = []
  for (const segment of plain.replaceAll('\\', '/').split('/').slice(1)) {
    const name = segment.split(/[;?#\0]/)[0] ?? ''
    if (name === '..') out.pop()
    else if (name !== '.') out.push(name)
  }
  return `/${out.join('/')}`
}

test('whatever reaches the upstream begins with its base path and resolves inside of it', async (t) => {
  const upstream = await provider(t, answers(200))
  const sidecar = await startSidecar(t, upstream.url, {}, { url: `${upstream.url}/deep/v1` })
  const pieces = [
    '..',
    '.',
    '/',
    '\\',
    '%2e',
    '%2E',
    '%252e',
    '%2f',
    '%5c',
    '%255c',
    ';',
    ';a=b',
    '//',
    'a',
    'v1',
    '?',
    '#',
    '%00',
    '%',
    '%25',
    '...',
    '%3f',
  ]
  const client = await rawClient(t, sidecar.port)
  let sent = 0
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom('/v1', '/v1/', '/v1/a/', '/', '/v1/..'),
      fc.array(fc.constantFrom(...pieces), { maxLength: 8 }),
      async (start, rest) => {
        const before = upstream.seen.length
        client.send(`GET ${start}${rest.join('')} HTTP/1.1\r\nHost: a\r\n\r\n`)
        await client.until('HTTP/1.1 ', ++sent)
        const arrived = upstream.seen[before]?.path
        if (arrived === undefined) return
        assert.ok(arrived.startsWith('/deep/v1'), arrived)
        for (const times of [0, 1, 2]) assert.match(resolved(arrived, times), /^\/deep\/v1(?:\/|$)/, arrived)
      },
    ),
    { numRuns: 400 },
  )
  assert.ok(upstream.seen.length > 50)
})
