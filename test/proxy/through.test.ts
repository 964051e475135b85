import assert from 'node:assert/strict'
import { test } from 'node:test'
import { answers, chat, provider } from '../fixtures/provider.ts'
import { startSidecar, testKey } from '../fixtures/startSidecar.ts'

test('a call reaches the upstream with the key and without the credentials of the client', async (t) => {
  const upstream = await provider(t, [chat('hello')])
  const sidecar = await startSidecar(t, upstream.url)
  const reply = await fetch(`${sidecar.url}/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: 'Bearer of-the-client', 'x-api-key': 'of-the-client', cookie: 'a=b' },
    body: '{"model":"m","messages":[]}',
  })
  assert.equal(reply.status, 200)
  assert.match(await reply.text(), /hello/)
  const seen = await upstream.request(0)
  assert.equal(seen.headers.authorization, `Bearer ${testKey}`)
  assert.equal(JSON.stringify(seen.rawHeaders).includes('of-the-client'), false)
  assert.equal(seen.headers.cookie, undefined)
})

test('an answer of the upstream passes as it is, an error too, and says who answered', async (t) => {
  const upstream = await provider(t, [answers(429, { error: { message: 'slow down' } }, { 'retry-after': '7' })])
  const sidecar = await startSidecar(t, upstream.url)
  const reply = await fetch(`${sidecar.url}/chat/completions`, {
    method: 'POST',
    body: '{}',
    headers: { 'content-type': 'application/json' },
  })
  assert.equal(reply.status, 429)
  assert.equal(reply.headers.get('retry-after'), '7')
  assert.equal(reply.headers.get('x-outrider-upstream'), 'fake')
  assert.equal(reply.headers.get('x-outrider-attempts'), '1')
  assert.equal(reply.headers.get('x-outrider-error'), null)
  assert.deepEqual(await reply.json(), { error: { message: 'slow down' } })
})

for (const [auth, header, value] of [
  ['bearer', 'authorization', `Bearer ${testKey}`],
  ['api-key', 'api-key', testKey],
  ['x-api-key', 'x-api-key', testKey],
  [{ header: 'X-Provider-Key' }, 'x-provider-key', testKey],
  [{ header: 'authorization', prefix: 'Token ' }, 'authorization', `Token ${testKey}`],
] as const) {
  test(`with auth ${JSON.stringify(auth)} the upstream finds the key in ${header}, and nothing of the client in any other`, async (t) => {
    const upstream = await provider(t, answers(200))
    const sidecar = await startSidecar(t, upstream.url, {}, { auth })
    const own = Object.fromEntries(
      ['authorization', 'api-key', 'x-api-key', 'x-goog-api-key', 'cookie', header].map((name) => [name, 'mine']),
    )
    await (await fetch(`${sidecar.url}/embeddings`, { method: 'POST', headers: own, body: '{}' })).text()
    const { headers, rawHeaders } = await upstream.request(0)
    assert.equal(headers[header], value)
    assert.equal(rawHeaders.filter((text) => text.includes(testKey)).length, 1)
    assert.equal(rawHeaders.includes('mine'), false)
  })
}
