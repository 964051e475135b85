import assert from 'node:assert/strict'
import {
  answers,
  cutAfter,
  eachCut,
  endAfter,
  paced,
  provider,
  sseBytes,
  stallAfterHead,
  trailers,
  type Step,
} from '../fixtures/provider.ts'
import { startSidecar } from '../fixtures/startSidecar.ts'
import { openStream, type StreamClient } from '../fixtures/streamClient.ts'
import { doneText } from '../fixtures/streams.ts'

const kindOf = async (client: StreamClient): Promise<string> => {
  const { error } = JSON.parse(await client.whole) as { error: { code: string } }
  assert.equal(client.headers['x-outrider-error'], error.code)
  assert.equal(client.headers['content-type'], 'application/json')
  return `${client.status} ${error.code}`
}

eachCut('a stream that breaks, ends or falls silent before its first event is an answer with a status', async (t, cut) => {
  const quiet = ': queued\n\n\n\nevent: ping\ndata: {"type":"ping"}\n\n'
  const cutAfterBytes: Step = async (exchange) => {
    await exchange.body
    exchange.res.writeHead(200, { 'content-type': 'text/event-stream' })
    exchange.res.write(quiet, () => {
      setImmediate(exchange.reset)
    })
  }
  const quietThenSilent: Step = async (exchange) => {
    await exchange.body
    exchange.res.writeHead(200, { 'content-type': 'text/event-stream' })
    exchange.res.write(quiet)
  }
  const steps: [Step, string][] = [
    [stallAfterHead(), '504 first_event_timeout'],
    [quietThenSilent, '504 first_event_timeout'],
    [cutAfter(), '502 reply_cut'],
    [cutAfterBytes, '502 reply_cut'],
    [endAfter(), '502 reply_cut'],
    [sseBytes(quiet), '502 reply_cut'],
    [sseBytes('data: {"half":'), '502 reply_cut'],
    [answers(200, '', { 'content-type': 'text/event-stream' }), '502 reply_cut'],
    [trailers({ 'x-late': '1' }), '502 reply_cut'],
  ]
  const upstream = await provider(
    t,
    steps.map(([step]) => step),
    { cut },
  )
  const sidecar = await startSidecar(t, upstream.url, { streams: { heartbeat: 'off' }, timeouts: { firstEvent: '1s' } })
  for (const [n, [, expected]] of steps.entries()) {
    const client = await openStream(t, sidecar.port)
    assert.equal(await kindOf(client), expected, `step ${n}`)
    assert.equal(client.headers['x-accel-buffering'], undefined)
  }
})

eachCut('comments, blank lines and pings do not let the head go, the first event does', async (t, cut) => {
  const stream = paced()
  const upstream = await provider(t, [stream, answers(200)], { cut })
  const sidecar = await startSidecar(t, upstream.url)
  let headed = false
  const opened = openStream(t, sidecar.port, { path: '/messages' }).then((client) => {
    headed = true
    return client
  })
  const before = [': queued\n\n', '\n\n', 'event: ping\ndata: {"type":"ping"}\n\n', '\r\n', 'event: message_start\n']
  for (const bytes of before) await stream.sendBytes(bytes)
  // A call that went the whole way since: by now the head would be here too.
  await (
    await openStream(t, sidecar.port, { path: '/models', method: 'GET' })
  ).whole
  assert.equal(headed, false)
  await stream.sendBytes('data: {}\n\n')
  const client = await opened
  await client.until('message_start\ndata: {}\n\n')
  assert.equal(client.text(), [...before, 'data: {}\n\n'].join(''))
  await stream.send({ type: 'message_stop' })
  await stream.end()
  await client.whole
})

eachCut('more comments than may wait let the head go', async (t, cut) => {
  const stream = paced()
  const upstream = await provider(t, [stream], { cut })
  const sidecar = await startSidecar(t, upstream.url, { streams: { heartbeat: 'off' } })
  const opened = openStream(t, sidecar.port)
  const comment = `: ${'x'.repeat(1_000)}\n\n`
  for (let n = 0; n < 70; n++) await stream.sendBytes(comment)
  const client = await opened
  await stream.sendBytes(doneText)
  await stream.end()
  assert.equal(await client.whole, comment.repeat(70) + doneText)
})

eachCut('an error status passes at once and as it is, be its body a stream or not', async (t, cut) => {
  const stream: Step = async ({ body, res }) => {
    await body
    res.writeHead(503, { 'content-type': 'text/event-stream', 'content-length': '20' })
    res.flushHeaders()
  }
  const event = 'data: {"error":"no"}\n\n'
  const upstream = await provider(
    t,
    [stream, answers(429, event, { 'content-type': 'text/event-stream', 'retry-after': '3' }), answers(500, { error: { message: 'no' } })],
    { cut },
  )
  const sidecar = await startSidecar(t, upstream.url, { timeouts: { idle: '300ms' } })
  const silent = await openStream(t, sidecar.port)
  assert.equal(silent.status, 503)
  assert.equal(silent.headers['content-length'], '20')
  await assert.rejects(silent.whole)
  const limited = await openStream(t, sidecar.port)
  assert.equal(limited.status, 429)
  assert.equal(limited.headers['retry-after'], '3')
  assert.equal(limited.headers['x-accel-buffering'], undefined)
  assert.equal(await limited.whole, event)
  const failed = await openStream(t, sidecar.port)
  assert.equal(failed.status, 500)
  assert.equal(await failed.whole, '{"error":{"message":"no"}}')
})

eachCut("an upstream's error event that comes first passes unchanged", async (t, cut) => {
  const events = [
    'data: {"error":{"message":"no","code":"server_error"}}\n\n',
    'event: error\ndata: {"type":"error","error":{"type":"overloaded_error"}}\n\n',
  ]
  const upstream = await provider(
    t,
    events.map((event) => sseBytes(event)),
    { cut },
  )
  const sidecar = await startSidecar(t, upstream.url)
  for (const [n, event] of events.entries()) {
    const client = await openStream(t, sidecar.port, { path: n === 0 ? '/chat/completions' : '/messages' })
    assert.equal(client.status, 200)
    assert.equal(await client.whole, event)
  }
})

eachCut('HEAD has no body and no event to wait for', async (t, cut) => {
  const step: Step = ({ res }) => {
    res.writeHead(200, { 'content-type': 'text/event-stream' }).end()
  }
  const upstream = await provider(t, [step], { cut })
  const sidecar = await startSidecar(t, upstream.url)
  const client = await openStream(t, sidecar.port, { method: 'HEAD', path: '/responses/x?stream=true' })
  assert.equal(client.status, 200)
  assert.equal(await client.whole, '')
})
