import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Call, Handler, Reply } from '../../sidecar/proxy/call.ts'
import { kinds, SidecarError, type KindName } from '../../sidecar/proxy/errors.ts'
import { answer } from '../../sidecar/proxy/layers/answer.ts'
import { cancel } from '../../sidecar/proxy/life.ts'
import { aCall, aReply, aSink, script } from '../fixtures/calls.ts'

const eventStream = { 'content-type': 'text/event-stream' }

/** The layer over a scripted next, and the defects it has told of. */
function over(next: Handler): { run: Handler; defects: [Call, SidecarError][] } {
  const defects: [Call, SidecarError][] = []
  const layer = answer({ now: () => 2_500, defect: (call, err) => defects.push([call, err]) })
  return { run: layer(next), defects }
}

const facts = { beganMs: 0 }

async function textOf(reply: Reply): Promise<string> {
  const sink = aSink()
  reply.flow(sink)
  assert.equal(sink.ended(), true)
  return sink.text()
}

async function refusalOf(err: Error, call: Call): Promise<{ reply: Reply; text: string }> {
  const reply = await over(script(err)).run(call)
  return { reply, text: await textOf(reply) }
}

test('an answer of the upstream passes as it is, failed or not', async () => {
  for (const status of [200, 404, 500]) {
    const reply = aReply(status)
    assert.equal(await over(script(reply)).run(aCall()), reply)
  }
  const refused = aReply(503, eventStream)
  assert.equal(await over(script(refused)).run(aCall()), refused)
})

test('every kind of failure has its status, its name in a header and a body of the shape that clients read', async () => {
  for (const kind of Object.keys(kinds) as KindName[]) {
    const call = aCall({ facts })
    const { reply, text } = await refusalOf(new SidecarError(kind, 'it went wrong'), call)
    assert.equal(reply.status, kinds[kind].status)
    assert.equal(reply.headers['x-outrider-error'], kind)
    assert.equal(reply.headers['x-outrider-fault'], kinds[kind].fault)
    assert.equal(reply.headers['content-length'], String(Buffer.byteLength(text)))
    assert.equal(call.facts.error, kind)
    const { error, outrider } = JSON.parse(text) as { error: Record<string, unknown>; outrider: unknown }
    assert.deepEqual(Object.keys(error), ['message', 'type', 'param', 'code'])
    assert.equal(error['code'], kind)
    assert.equal(error['param'], null)
    assert.match(String(error['message']), new RegExp(`(?:^|: )it went wrong \\(${kind}, 1 attempt, after 2\\.5 s, call test-1\\)$`))
    assert.deepEqual(outrider, { fault: kinds[kind].fault, call: 'test-1', upstream: 'fake', attempts: 1, after_ms: 2_500 })
  }
})

test("a client of Anthropic's API gets Anthropic's shape", async () => {
  for (const path of ['/messages', '/messages?beta=true', '/messages/count_tokens']) {
    const { text } = await refusalOf(new SidecarError('connect_failed', 'nobody there'), aCall({ path, facts }))
    const body = JSON.parse(text) as Record<string, unknown>
    assert.equal(body['type'], 'error')
    assert.equal(body['request_id'], 'test-1')
    assert.deepEqual(Object.keys(body['error'] as object), ['type', 'message'])
  }
  const { text } = await refusalOf(new SidecarError('connect_failed', 'nobody there'), aCall({ path: '/messagesque', facts }))
  assert.equal('type' in (JSON.parse(text) as object), false)
})

test('the message says who failed', async () => {
  const messageOf = async (kind: KindName, attempts: number): Promise<string> => {
    const { text } = await refusalOf(
      new SidecarError(kind, 'why'),
      aCall({ facts: { beganMs: 0, attempts, upstream: attempts === 0 ? '' : 'fake' } }),
    )
    return (JSON.parse(text) as { error: { message: string } }).error.message
  }
  assert.match(await messageOf('no_reply', 2), /^Upstream fake failed: why \(no_reply, 2 attempts,/)
  assert.match(await messageOf('draining', 0), /^Outrider \(the sidecar\) failed: why \(draining, no attempt was made,/)
  assert.match(await messageOf('not_found', 0), /^Refused by Outrider \(the sidecar\): why/)
})

test('retry-after is said in whole seconds, and only where there is a wait', async () => {
  const after = async (retryAfterMs?: number): Promise<unknown> => {
    const options = retryAfterMs === undefined ? {} : { retryAfterMs }
    return (await refusalOf(new SidecarError('proxy_overloaded', 'full', options), aCall({ facts }))).reply.headers['retry-after']
  }
  assert.equal(await after(), undefined)
  assert.equal(await after(1_000), '1')
  assert.equal(await after(1_001), '2')
})

test('clients are told not to repeat what is permanent, what was tried more than once, and what has to wait long; else nothing is said', async () => {
  const said = async (kind: KindName, attempts = 1, retryAfterMs = 0): Promise<unknown> =>
    (await refusalOf(new SidecarError(kind, 'why', { retryAfterMs }), aCall({ facts: { beganMs: 0, attempts } }))).reply.headers[
      'x-should-retry'
    ]
  for (const kind of Object.keys(kinds) as KindName[]) assert.equal(await said(kind), kinds[kind].permanent ? 'false' : undefined, kind)
  assert.equal(await said('connect_failed', 0), undefined)
  assert.equal(await said('connect_failed', 2), 'false')
  assert.equal(await said('proxy_overloaded', 1, 60_000), undefined)
  assert.equal(await said('proxy_overloaded', 1, 60_001), 'false')
})

test('a defect of ours tells the log everything and the client nothing', async () => {
  const defect = new TypeError('secret detail')
  const { run, defects } = over(script(defect))
  const call = aCall({ facts })
  const reply = await run(call)
  assert.equal(reply.status, 500)
  const text = await textOf(reply)
  assert.doesNotMatch(text, /secret detail|TypeError|\.ts/)
  assert.match(text, /call test-1/)
  assert.equal(defects.length, 1)
  assert.equal(defects[0]?.[0], call)
  assert.equal(defects[0]?.[1].cause, defect)
})

test('a stream that fails ends with an event of ours, and as ended', async () => {
  for (const [path, form] of [
    [
      '/chat/completions',
      /^data: 1\n\nevent: error\ndata: \{"type":"error","code":"stream_interrupted",.*"sequence_number":0,"error":\{.*\}\n\n$/,
    ],
    ['/messages', /^data: 1\n\nevent: error\ndata: \{"type":"error","error":\{"type":"api_error",.*\}\n\n$/],
  ] as const) {
    const upstream = aReply(200, eventStream)
    const call = aCall({ path, facts })
    const reply = await over(script(upstream)).run(call)
    const sink = aSink()
    reply.flow(sink)
    upstream.push('data: 1\n\n')
    upstream.breakOff(new SidecarError('reply_cut', 'gone'))
    assert.match(sink.text(), form)
    assert.equal(sink.ended(), true)
    assert.equal(sink.failure(), undefined)
    assert.equal(call.facts.error, 'reply_cut')
  }
})

test('the number of the error event is above the last one of the stream', async () => {
  const upstream = { ...aReply(200, eventStream), lastNumber: () => 41 }
  const reply = await over(script(upstream)).run(aCall({ facts }))
  const sink = aSink()
  reply.flow(sink)
  upstream.breakOff(new SidecarError('reply_cut', 'gone'))
  assert.match(sink.text(), /"sequence_number":42,/)
})

test('a stream whose client has gone gets no last words', async () => {
  const upstream = aReply(200, eventStream)
  const call = aCall({ facts })
  const reply = await over(script(upstream)).run(call)
  const sink = aSink()
  reply.flow(sink)
  const gone = new SidecarError('client_gone', 'closed')
  cancel(call.life, gone)
  upstream.breakOff(gone)
  assert.equal(sink.text(), '')
  assert.equal(sink.failure(), gone)
})

test('a defect inside a stream is told to the log too', async () => {
  const upstream = aReply(200, eventStream)
  const { run, defects } = over(script(upstream))
  const reply = await run(aCall({ facts }))
  reply.flow(aSink())
  upstream.breakOff(new SidecarError('internal', 'a defect', { cause: new Error('why') }))
  assert.equal(defects.length, 1)
})

test('a whole stream passes untouched, trailers too', async () => {
  const upstream = aReply(200, eventStream)
  const reply = await over(script(upstream)).run(aCall({ facts }))
  const sink = aSink()
  reply.flow(sink)
  upstream.push('data: [DONE]\n\n')
  upstream.finish()
  assert.equal(sink.text(), 'data: [DONE]\n\n')
  assert.equal(sink.ended(), true)
})
