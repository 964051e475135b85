import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { memoryLimit } from '../../sidecar/proxy/memoryLimit.ts'
import { chat, eachCut, paced, provider, stall } from '../fixtures/provider.ts'
import { rawClient } from '../fixtures/rawClient.ts'
import { startSidecar, type Sidecar } from '../fixtures/startSidecar.ts'

const json = { 'content-type': 'application/json' }

const ask = (sidecar: Sidecar, fields: object = {}, signal?: AbortSignal): Promise<Response> => {
  const body = JSON.stringify({ model: 'm', messages: [], ...fields })
  return fetch(`${sidecar.url}/chat/completions`, { method: 'POST', headers: json, body, ...(signal === undefined ? {} : { signal }) })
}

const shed = async (reply: Response): Promise<void> => {
  assert.equal(reply.status, 503)
  assert.equal(reply.headers.get('x-outrider-error'), 'proxy_overloaded')
  assert.equal(reply.headers.get('retry-after'), '1')
  assert.equal(reply.headers.get('x-should-retry'), null)
  assert.equal(((await reply.json()) as { error: { code: string } }).error.code, 'proxy_overloaded')
}

/** Resolves when nothing is in flight; the server side of a call ends a little after its client has read the last byte. */
async function idle(sidecar: Sidecar): Promise<void> {
  while (sidecar.proxy.residue().inFlight > 0) await new Promise((done) => setImmediate(done))
}

eachCut('a stream holds its slot to its last byte; what is beyond the bound is shed and never reaches the upstream', async (t, cut) => {
  const stream = paced()
  const upstream = await provider(t, [stream, chat('room again')], { cut })
  const sidecar = await startSidecar(t, upstream.url, { limits: { inFlight: 1 } })
  const reply = ask(sidecar, { stream: true })
  await stream.send({ choices: [{ delta: { content: 'one' } }] })
  const streaming = await reply
  assert.equal(streaming.status, 200)

  await shed(await ask(sidecar))
  assert.equal(upstream.seen.length, 1)
  await stream.send('[DONE]')
  await stream.end()
  await streaming.text()
  await idle(sidecar)
  const again = await ask(sidecar)
  assert.equal(again.status, 200)
  await again.text()
  const line = await sidecar.callLine(0)
  assert.deepEqual([line['error'], line['fault'], line['end'], line['attempts']], ['proxy_overloaded', 'sidecar', 'refused', 0])
})

test('a client that leaves gives its slot back', async (t) => {
  const upstream = await provider(t, [stall(), chat('room again')])
  const sidecar = await startSidecar(t, upstream.url, { limits: { inFlight: 1 } })
  const leaving = new AbortController()
  const gone = ask(sidecar, {}, leaving.signal).catch(() => {})
  await upstream.request(0)
  await shed(await ask(sidecar))
  leaving.abort()
  await gone
  await idle(sidecar)
  const again = await ask(sidecar)
  assert.equal(again.status, 200)
  await again.text()
})

test('bodies beyond the memory bound are shed, and their room is free again when the call is over', async (t) => {
  const upstream = await provider(t, [stall(), chat('room again')])
  const sidecar = await startSidecar(t, upstream.url, { limits: { memory: '100KB' } })
  const leaving = new AbortController()
  const gone = ask(sidecar, { messages: ['x'.repeat(70_000)] }, leaving.signal).catch(() => {})
  await upstream.request(0)
  assert.ok(sidecar.proxy.residue().heldBytes > 70_000)

  await shed(await ask(sidecar, { messages: ['x'.repeat(70_000)] }))
  // Without a declared length it shows only as it comes.
  const chunked = await rawClient(t, sidecar.port)
  chunked.send('POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n')
  chunked.send(`${(70_000).toString(16)}\r\n${'x'.repeat(70_000)}\r\n`)
  assert.match(await chunked.until('proxy_overloaded'), /^HTTP\/1\.1 503 /)
  chunked.socket.destroy()
  await once(chunked.socket, 'close')

  leaving.abort()
  await gone
  await idle(sidecar)
  assert.equal(sidecar.proxy.residue().heldBytes, 0)
  const again = await ask(sidecar, { messages: ['x'.repeat(70_000)] })
  assert.equal(again.status, 200)
  await again.text()
})

test('the memory bound is a size, or a share of what the container may use', () => {
  const MiB = 2 ** 20
  assert.equal(memoryLimit({ bytes: 5 }, 100 * MiB), 5)
  assert.equal(memoryLimit({ share: 0.4 }, 100 * MiB), 40 * MiB)
  assert.equal(memoryLimit({ share: 0.5 }, 0), 512 * MiB, 'no limit is told')
  assert.equal(memoryLimit({ share: 0.5 }, 2 ** 64), 512 * MiB, 'no limit is told as a figure beyond all machines')
})
