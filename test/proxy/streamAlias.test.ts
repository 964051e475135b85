import assert from 'node:assert/strict'
import { test } from 'node:test'
import { chat, eachCut, provider, stall } from '../fixtures/provider.ts'
import { startSidecar } from '../fixtures/startSidecar.ts'

eachCut('the alias is a chat call that streams: one word is spliced in, nothing else touched, and a header says so', async (t, cut) => {
  const upstream = await provider(t, chat('hello there'), { cut })
  const sidecar = await startSidecar(t, upstream.url)
  const body = '{ "model" : "m",\n "messages":[{"role":"user","content":"stream \\u20ac"}], "seed": 12345678901234567890 }'
  const reply = await fetch(`${sidecar.url}/chat/completions/stream?x=1`, {
    method: 'POST',
    body,
    headers: { 'content-type': 'application/json' },
  })
  assert.match(reply.headers.get('content-type') ?? '', /^text\/event-stream/)
  assert.equal(reply.headers.get('x-outrider-edited'), 'path, stream')
  assert.match(await reply.text(), /data: \[DONE\]\n\n$/)
  const seen = await upstream.request(0)
  assert.equal(seen.path, '/v1/chat/completions?x=1')
  assert.equal((await seen.whole).toString(), `{"stream":true,${body.slice(1)}`)
  const line = await sidecar.callLine(0)
  assert.deepEqual([line['path'], line['operation'], line['stream']], ['/v1/chat/completions/stream', 'chat', true])
})

test('a body that streams already passes byte for byte', async (t) => {
  const upstream = await provider(t, chat('x'))
  const sidecar = await startSidecar(t, upstream.url)
  const body = '{"model":"m","stream":true,"messages":[]}'
  const reply = await fetch(`${sidecar.url}/chat/completions/stream`, { method: 'POST', body })
  assert.equal(reply.headers.get('x-outrider-edited'), 'path')
  await reply.text()
  assert.equal((await (await upstream.request(0)).whole).toString(), body)
})

test('an ordinary chat call carries no such header', async (t) => {
  const upstream = await provider(t, chat('x'))
  const sidecar = await startSidecar(t, upstream.url)
  const reply = await fetch(`${sidecar.url}/chat/completions`, { method: 'POST', body: '{"model":"m","messages":[]}' })
  assert.equal(reply.headers.get('x-outrider-edited'), null)
  await reply.text()
})

test('what cannot be made a stream is refused, and no attempt is made', async (t) => {
  const upstream = await provider(t, [])
  const sidecar = await startSidecar(t, upstream.url)
  for (const body of ['[]', '{"a":1', '', 'hello']) {
    const reply = await fetch(`${sidecar.url}/chat/completions/stream`, { method: 'POST', body })
    assert.deepEqual([reply.status, reply.headers.get('x-outrider-error')], [400, 'bad_request'], body)
    await reply.text()
  }
})

test('before anything has come the alias waits as a stream does, not as an answer that comes at once', async (t) => {
  const upstream = await provider(t, stall())
  const sidecar = await startSidecar(t, upstream.url, { timeouts: { total: '100ms', firstEvent: '300ms' } })
  const ask = (path: string): Promise<Response> => fetch(`${sidecar.url}${path}`, { method: 'POST', body: '{"model":"m","messages":[]}' })
  const [alias, plain] = await Promise.all([ask('/chat/completions/stream'), ask('/chat/completions')])
  assert.equal(alias.headers.get('x-outrider-error'), 'first_event_timeout')
  assert.equal(plain.headers.get('x-outrider-error'), 'total_timeout')
})
