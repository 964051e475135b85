import assert from 'node:assert/strict'
import { test } from 'node:test'
import { answers, provider } from '../fixtures/provider.ts'
import { rawClient, repliesIn } from '../fixtures/rawClient.ts'
import { startSidecar } from '../fixtures/startSidecar.ts'

const methods = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND', 'QUERY', 'REPORT', 'PURGE']

for (const method of methods) {
  test(`${method} passes with a body and without one`, async (t) => {
    const upstream = await provider(t, answers(200))
    const sidecar = await startSidecar(t, upstream.url)
    const client = await rawClient(t, sidecar.port)
    const head = `${method} /v1/unknown/endpoint HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n`
    client.send(`${head}Content-Length: 4\r\n\r\n{} \n`)
    await client.until('\r\n\r\n{}')
    client.send(`${head}Transfer-Encoding: chunked\r\n\r\n4\r\n{} \n\r\n0\r\n\r\n`)
    await client.until('\r\n\r\n{}', 2)
    client.send(`${head}\r\n`)
    await client.until('\r\n\r\n{}', 3)
    assert.deepEqual(
      upstream.seen.map((seen) => [seen.method, seen.body.toString()]),
      [
        [method, '{} \n'],
        [method, '{} \n'],
        [method, ''],
      ],
    )
    const bare = upstream.seen[2]?.headers
    assert.equal(bare?.['content-length'], ['POST', 'PUT', 'PATCH', 'PROPFIND', 'QUERY'].includes(method) ? '0' : undefined)
    assert.equal(bare?.['transfer-encoding'], undefined)
  })
}

test('HEAD gets the head alone, with the length of what GET would get, and the connection goes on', async (t) => {
  const upstream = await provider(t, ({ res }) => void res.writeHead(200, { 'content-length': '1234', 'x-a': 'b' }).end())
  const sidecar = await startSidecar(t, upstream.url)
  const client = await rawClient(t, sidecar.port)
  const head = 'HEAD /v1/models HTTP/1.1\r\nHost: a\r\n\r\n'
  client.send(head)
  await client.until('\r\n\r\n')
  client.send(head)
  const text = await client.until('\r\n\r\n', 2)
  assert.equal(text.match(/content-length: 1234\r\n/gi)?.length, 2)
  assert.match(text, /x-a: b\r\n/)
  assert.match(text, /\r\n\r\n$/)
})

for (const status of [204, 304]) {
  test(`a ${status} has no body, and the connection goes on`, async (t) => {
    const upstream = await provider(t, ({ res }) => void res.writeHead(status, { etag: '"a"' }).end())
    const sidecar = await startSidecar(t, upstream.url)
    const client = await rawClient(t, sidecar.port)
    for (let n = 1; n <= 2; n++) {
      client.send('GET /v1/models HTTP/1.1\r\nHost: a\r\n\r\n')
      await client.until('\r\n\r\n', n)
    }
    assert.deepEqual(
      repliesIn(client.text()).map((reply) => [reply.status, reply.header('etag'), reply.header('transfer-encoding')]),
      Array.from({ length: 2 }, () => [status, '"a"', undefined]),
    )
  })
}

test('a POST that offers HTTP/2 is an ordinary call with its body, and so is every upgrade that is no WebSocket', async (t) => {
  const upstream = await provider(t, answers(200))
  const sidecar = await startSidecar(t, upstream.url)
  const client = await rawClient(t, sidecar.port)
  const offer = 'Host: a\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk\r\nUpgrade: '
  const requests = [
    `POST /v1/chat/completions HTTP/1.1\r\n${offer}h2c\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{"model":1}`,
    `GET /v1/models HTTP/1.1\r\n${offer}h2c\r\n\r\n`,
    `POST /v1/x HTTP/1.1\r\n${offer}websocket\r\nContent-Length: 2\r\n\r\n{}`,
    `GET /v1/models HTTP/1.1\r\nHost: a\r\n\r\n`,
  ]
  for (const [n, request] of requests.entries()) {
    client.send(request)
    await client.until('\r\n\r\n{}', n + 1)
  }
  assert.deepEqual(
    upstream.seen.map(({ body, headers }) => [body.toString(), headers.upgrade, headers['http2-settings']]),
    ['{"model":1}', '', '{}', ''].map((body) => [body, undefined, undefined]),
  )
})
