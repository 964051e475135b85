import assert from 'node:assert/strict'
import { test } from 'node:test'
import { answers, provider, type Step } from '../fixtures/provider.ts'
import { rawClient, refusalIn, repliesIn } from '../fixtures/rawClient.ts'
import { startSidecar } from '../fixtures/startSidecar.ts'

const ofUnknownLength: Step = ({ res }) => void res.writeHead(200, { 'content-type': 'application/json' }).end('{"a":1}')

test('a client of HTTP/1.0 gets its answer and the end of the connection', async (t) => {
  const upstream = await provider(t, answers(200))
  const sidecar = await startSidecar(t, upstream.url)
  const client = await rawClient(t, sidecar.port)
  client.send('POST /v1/chat/completions HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}')
  const [reply] = repliesIn(await client.closed)
  assert.deepEqual([reply?.status, reply?.body, reply?.header('transfer-encoding')], [200, '{}', undefined])
  assert.equal((await upstream.request(0)).body.toString(), '{}')
})

test('where the length is known, a client of HTTP/1.0 may keep its connection', async (t) => {
  const upstream = await provider(t, answers(200))
  const sidecar = await startSidecar(t, upstream.url)
  const client = await rawClient(t, sidecar.port)
  for (let n = 1; n <= 3; n++) {
    client.send('GET /v1/models HTTP/1.0\r\nConnection: keep-alive\r\n\r\n')
    await client.until('\r\n\r\n{}', n)
  }
  const replies = repliesIn(client.text())
  assert.deepEqual(
    replies.map((reply) => [reply.status, reply.header('connection'), reply.header('transfer-encoding')]),
    Array.from({ length: 3 }, () => [200, 'keep-alive', undefined]),
  )
})

for (const lines of ['', 'Connection: keep-alive\r\n']) {
  test(`an answer of unknown length ends with the connection for HTTP/1.0 ${lines}`, async (t) => {
    const upstream = await provider(t, ofUnknownLength)
    const sidecar = await startSidecar(t, upstream.url)
    const client = await rawClient(t, sidecar.port)
    client.send(`GET /v1/models HTTP/1.0\r\n${lines}\r\n`)
    const [reply] = repliesIn(await client.closed)
    assert.deepEqual([reply?.body, reply?.header('transfer-encoding')], ['{"a":1}', undefined])
  })
}

test('the same answer is chunked for HTTP/1.1, and the connection goes on', async (t) => {
  const upstream = await provider(t, ofUnknownLength)
  const sidecar = await startSidecar(t, upstream.url)
  const client = await rawClient(t, sidecar.port)
  for (let n = 1; n <= 2; n++) {
    client.send('GET /v1/models HTTP/1.1\r\nHost: a\r\n\r\n')
    await client.until('7\r\n{"a":1}\r\n0\r\n\r\n', n)
  }
})

test('a client that wants the connection closed gets its answer first', async (t) => {
  const upstream = await provider(t, answers(200))
  const sidecar = await startSidecar(t, upstream.url)
  const client = await rawClient(t, sidecar.port)
  client.send('GET /v1/models HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
  assert.equal(repliesIn(await client.closed)[0]?.body, '{}')
})

test('a refusal of ours is whole for HTTP/1.0 too', async (t) => {
  const upstream = await provider(t, answers(200))
  const sidecar = await startSidecar(t, upstream.url)
  const client = await rawClient(t, sidecar.port)
  client.send('GET /v2 HTTP/1.0\r\n\r\n')
  assert.equal(refusalIn(await client.closed).kind, 'not_found')
})
