import assert from 'node:assert/strict'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { acknowledged, answers, eachCut, frame, paced, provider, sse, sseBytes, writeEach, type Step } from '../fixtures/provider.ts'
import { startSidecar } from '../fixtures/startSidecar.ts'
import { openStream } from '../fixtures/streamClient.ts'
import { chatText, doneText, lineEnds, oneByOne, splitAnywhere } from '../fixtures/streams.ts'

const words = ['one', 'zwei ü', 'три', '四 😀', 'multi']

eachCut('an event leaves in the read that completes it: the next is sent only when the client has the one before', async (t, cut) => {
  const events = [...Array.from({ length: 50 }, (_none, n) => `{"n":${n}}`), '[DONE]']
  const stream = acknowledged(...events)
  const upstream = await provider(t, [stream], { cut })
  const sidecar = await startSidecar(t, upstream.url)
  const client = await openStream(t, sidecar.port)
  for (const event of events) {
    await client.until(`data: ${event}\n\n`)
    await stream.ack()
  }
  assert.equal(await client.whole, events.map(frame).join(''))
})

for (const end of lineEnds) {
  test(`each event of a stream with ${JSON.stringify(end)} arrives although the next has not begun, byte by byte too`, async (t) => {
    const stream = paced()
    const upstream = await provider(t, [stream])
    const sidecar = await startSidecar(t, upstream.url)
    const opened = openStream(t, sidecar.port)
    let sent = '\uFEFF'
    await stream.sendBytes(sent)
    for (const event of ['data: 1\n\n', ': comment\nid: 7\ndata: two\ndata: lines 😀\n\n', 'event: x\ndata: 3\n\n', 'data: [DONE]\n\n']) {
      const text = event.replaceAll('\n', end)
      for (const byte of oneByOne(text)) await stream.sendBytes(byte)
      sent += text
      const client = await opened
      await client.until(text)
    }
    await stream.end()
    const client = await opened
    await client.whole
    assert.deepEqual(client.bytes(), Buffer.from(sent))
  })
}

eachCut('an unfinished event is held back until it is whole', async (t, cut) => {
  const stream = paced()
  const upstream = await provider(t, [stream], { cut })
  const sidecar = await startSidecar(t, upstream.url)
  const opened = openStream(t, sidecar.port)
  await stream.sendBytes('data: 1\n\ndata: {"half')
  const client = await opened
  await client.until('data: 1\n\n')
  await stream.sendBytes('":true}\n')
  await stream.sendBytes('\ndata: 3')
  await client.until('"half":true}\n\n')
  assert.equal(client.text(), 'data: 1\n\ndata: {"half":true}\n\n')
  await stream.sendBytes('\n\ndata: [DONE]\n\n')
  await stream.end()
  assert.equal(await client.whole, 'data: 1\n\ndata: {"half":true}\n\ndata: 3\n\ndata: [DONE]\n\n')
})

eachCut('an event longer than may be kept passes as it comes', async (t, cut) => {
  const stream = paced()
  const upstream = await provider(t, [stream], { cut })
  const sidecar = await startSidecar(t, upstream.url, { streams: { longestEvent: '2KiB' } })
  const opened = openStream(t, sidecar.port)
  await stream.sendBytes(`data: {"choices":[],"long":"${'x'.repeat(3_000)}`)
  const client = await opened
  await client.until('x'.repeat(3_000))
  await stream.sendBytes('y'.repeat(10))
  await client.until('y'.repeat(10))
  await stream.sendBytes('"}\n\ndata: 2\n\ndata: [DO')
  await client.until('data: 2\n\n')
  assert.doesNotMatch(client.text(), /\[DO/)
  await stream.sendBytes('NE]\n\n')
  await stream.end()
  assert.match(await client.whole, /yyy"\}\n\ndata: 2\n\ndata: \[DONE\]\n\n$/)
})

test('what the client gets is byte for byte what the upstream sent, however it was cut', async (t) => {
  let parts: readonly Buffer[] = []
  const play: Step = (exchange) => sseBytes(...parts)(exchange)
  const upstream = await provider(t, play)
  const sidecar = await startSidecar(t, upstream.url)
  const event = fc.oneof(
    fc.constantFrom(': comment\n\n', '\n', 'retry: 10\n\n', 'event: ping\ndata: {"type":"ping"}\n\n'),
    fc.string({ unit: 'grapheme', maxLength: 40 }).map((text) => `data: ${JSON.stringify({ text })}\n\n`),
    fc
      .array(fc.constantFrom('a', 'ü😀', ''), { minLength: 1, maxLength: 3 })
      .map((lines) => `id: 1\n${lines.map((line) => `data:${line}\n`).join('')}\n`),
  )
  const stream = fc
    .tuple(
      fc.boolean(),
      fc.array(event, { maxLength: 8 }),
      fc.constantFrom(...lineEnds),
      fc.constantFrom('', ': bye\n\n', '\n', ': unfinished'),
    )
    .map(([bom, events, end, tail]) => Buffer.from((bom ? '\uFEFF' : '') + [...events, doneText, tail].join('').replaceAll('\n', end)))
  await fc.assert(
    fc.asyncProperty(
      stream.chain((bytes) => fc.oneof(splitAnywhere(bytes), fc.constant(oneByOne(bytes))).map((cut) => ({ bytes, cut }))),
      async ({ bytes, cut }) => {
        parts = cut
        const client = await openStream(t, sidecar.port)
        await client.whole
        assert.deepEqual(client.bytes(), bytes)
      },
    ),
    { numRuns: 150 },
  )
})

eachCut('a stream says that nobody is to buffer it, and none is asked for in compressed form', async (t, cut) => {
  const upstream = await provider(t, [sse('1', '[DONE]'), answers(200)], { cut })
  const sidecar = await startSidecar(t, upstream.url)
  const accepts = { 'accept-encoding': 'gzip, br' }
  const client = await openStream(t, sidecar.port, { headers: accepts })
  await client.whole
  assert.equal(client.headers['x-accel-buffering'], 'no')
  assert.equal(client.headers['content-type'], 'text/event-stream; charset=utf-8')
  assert.equal((await upstream.request(0)).headers['accept-encoding'], undefined)
  const plain = await openStream(t, sidecar.port, { headers: accepts, body: '{"stream":false}' })
  await plain.whole
  assert.equal(plain.headers['x-accel-buffering'], undefined)
  assert.equal((await upstream.request(1)).headers['accept-encoding'], 'gzip, br')
})

eachCut('a stream that comes compressed all the same passes untouched', async (t, cut) => {
  const zipped = gzipSync(chatText(words).join(''))
  const upstream = await provider(t, [answers(200, zipped, { 'content-type': 'text/event-stream', 'content-encoding': 'gzip' })], { cut })
  const sidecar = await startSidecar(t, upstream.url)
  const client = await openStream(t, sidecar.port)
  await client.whole
  assert.equal(client.headers['content-encoding'], 'gzip')
  assert.deepEqual(client.bytes(), zipped)
})

eachCut('a stream with a declared length arrives whole, and may still get what it lacks', async (t, cut) => {
  const text = chatText(words).join('')
  const upstream = await provider(t, [answers(200, text, { 'content-type': 'text/event-stream' })], { cut })
  const sidecar = await startSidecar(t, upstream.url)
  const client = await openStream(t, sidecar.port)
  assert.equal(await client.whole, text + doneText)
  assert.equal(client.headers['content-length'], undefined)
})

eachCut('a stream that answers a GET, or comes from an endpoint whose marker is not known, flows like any other', async (t, cut) => {
  const stream = paced()
  const upstream = await provider(t, [stream, sse({ type: 'response.output_text.delta' }), sse({ chunk: 1 }, { chunk: 2 })], { cut })
  const sidecar = await startSidecar(t, upstream.url)
  const opened = openStream(t, sidecar.port, { method: 'GET', path: '/responses/resp_1?stream=true' })
  await stream.send({ type: 'response.created' })
  const client = await opened
  await client.until('response.created')
  assert.equal(client.headers['x-accel-buffering'], 'no')
  await stream.send({ type: 'response.completed' })
  await stream.end()
  assert.match(await client.whole, /"response\.completed"\}\n\n$/)
  const short = await openStream(t, sidecar.port, { method: 'GET', path: '/responses/resp_1?stream=true' })
  assert.match(await short.whole, /stream_interrupted/)
  const other = await openStream(t, sidecar.port, { path: '/audio/speech' })
  assert.equal(await other.whole, 'data: {"chunk":1}\n\ndata: {"chunk":2}\n\n')
})

eachCut('200 streams at once arrive each in order and whole', async (t, cut) => {
  const play: Step = async (exchange) => {
    const { id } = JSON.parse((await exchange.body).toString()) as { id: number }
    exchange.res.writeHead(200, { 'content-type': 'text/event-stream' })
    const text = streamOf(id)
    const size = 7 + (id % 60)
    const parts = Array.from({ length: Math.ceil(text.length / size) }, (_none, n) => text.slice(n * size, (n + 1) * size))
    await writeEach(exchange, parts)
    exchange.res.end()
  }
  const streamOf = (id: number): string => [...Array.from({ length: 20 }, (_none, n) => frame({ id, n })), doneText].join('')
  const upstream = await provider(t, play, { cut })
  const sidecar = await startSidecar(t, upstream.url)
  await Promise.all(
    Array.from({ length: 200 }, async (_none, id) => {
      const client = await openStream(t, sidecar.port, { body: JSON.stringify({ id, stream: true }) })
      assert.equal(await client.whole, streamOf(id))
    }),
  )
})
