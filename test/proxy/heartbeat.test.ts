import assert from 'node:assert/strict'
import { eachCut, paced, provider, stallAfterHead } from '../fixtures/provider.ts'
import { startSidecar } from '../fixtures/startSidecar.ts'
import { openStream } from '../fixtures/streamClient.ts'

const beat = ': still here\n\n'

eachCut('a silent stream gets a comment, again and again, and none after its end', async (t, cut) => {
  const stream = paced()
  const upstream = await provider(t, [stream], { cut })
  const sidecar = await startSidecar(t, upstream.url, { streams: { heartbeat: '100ms' } })
  const opened = openStream(t, sidecar.port)
  await stream.send('1')
  const client = await opened
  await client.until(`data: 1\n\n${beat}${beat}`)
  await stream.send('[DONE]')
  await stream.end()
  assert.match(await client.whole, /^(?:: still here\n\n)*data: 1\n\n(?:: still here\n\n)+data: \[DONE\]\n\n$/)
})

eachCut('a comment goes out between whole events, never inside of one', async (t, cut) => {
  const stream = paced()
  const upstream = await provider(t, [stream], { cut })
  const sidecar = await startSidecar(t, upstream.url, { streams: { heartbeat: '100ms' } })
  const opened = openStream(t, sidecar.port)
  await stream.sendBytes('data: 1\n\ndata: {"half')
  const client = await opened
  await client.until(beat)
  await stream.sendBytes('":1}\n\n')
  await client.until('data: {"half":1}\n\n')
  await stream.send('[DONE]')
  await stream.end()
  assert.match(await client.whole, /^(?:: still here\n\n)*data: 1\n\n(?:: still here\n\n)+data: \{"half":1\}\n\n/)
})

eachCut('an event that passes in parts has no comment inside', async (t, cut) => {
  const stream = paced()
  const upstream = await provider(t, [stream], { cut })
  const sidecar = await startSidecar(t, upstream.url, { streams: { heartbeat: '50ms', longestEvent: '1KiB' }, timeouts: { idle: '400ms' } })
  const opened = openStream(t, sidecar.port)
  const long = 'x'.repeat(2_000)
  await stream.sendBytes(`data: ${long}`)
  const client = await opened
  // The silence lasts until the stream is given up: in all that time a comment had its chances. Before the event it may come.
  const text = await client.whole
  assert.match(text, /^(?:: still here\n\n)*data: x{2000}\n\nevent: error\ndata: .*idle_timeout/)
  await stream.closed
})

eachCut("a comment does not count as a sign of the model, neither ours nor the upstream's", async (t, cut) => {
  const stream = paced()
  const upstream = await provider(t, [stream], { cut })
  const sidecar = await startSidecar(t, upstream.url, { streams: { heartbeat: '50ms' }, timeouts: { idle: '500ms' } })
  const opened = openStream(t, sidecar.port)
  await stream.send('1')
  const client = await opened
  const chatter = setInterval(() => {
    stream.sendBytes(': queue\n\nevent: ping\ndata: {}\n\n').catch(() => {})
  }, 20)
  t.after(() => {
    clearInterval(chatter)
  })
  assert.match(await client.whole, /event: error\ndata: .*idle_timeout/)
})

eachCut('switched off, no comment goes out, and a silent stream is held until its first event', async (t, cut) => {
  const stream = paced()
  const upstream = await provider(t, [stream, stallAfterHead()], { cut })
  const sidecar = await startSidecar(t, upstream.url, { streams: { heartbeat: 'off' }, timeouts: { idle: '300ms', firstEvent: '300ms' } })
  const opened = openStream(t, sidecar.port)
  await stream.send('1')
  const client = await opened
  const text = await client.whole
  assert.match(text, /idle_timeout/)
  assert.doesNotMatch(text, /still here/)
  assert.equal((await openStream(t, sidecar.port)).status, 504)
})

eachCut('a stream silent from its beginning gets its head and comments, and later its events', async (t, cut) => {
  const stream = paced()
  const upstream = await provider(t, [stream], { cut })
  const sidecar = await startSidecar(t, upstream.url, { streams: { heartbeat: '100ms' } })
  const client = await openStream(t, sidecar.port)
  assert.equal(client.status, 200)
  await client.until(beat + beat)
  // A byte order mark would no longer stand at the beginning.
  await stream.sendBytes('\uFEFFdata: 1\n\n')
  await stream.send('[DONE]')
  await stream.end()
  assert.match(await client.whole, /^(?:: still here\n\n)+data: 1\n\n(?:: still here\n\n)*data: \[DONE\]\n\n$/)
})

eachCut('once the head is out, a stream without any event fails in-band', async (t, cut) => {
  const upstream = await provider(t, [stallAfterHead()], { cut })
  const sidecar = await startSidecar(t, upstream.url, { streams: { heartbeat: '100ms' }, timeouts: { firstEvent: '400ms', idle: '30s' } })
  const client = await openStream(t, sidecar.port)
  assert.equal(client.status, 200)
  assert.match(await client.whole, /^(?:: still here\n\n)+event: error\ndata: .*first_event_timeout/)
})
