import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import timers from 'node:timers/promises'
import { test } from 'node:test'
import type { Connection } from '../../sidecar/proxy/upstream/connection.ts'
import { watchWriting } from '../../sidecar/proxy/upstream/writing.ts'
import { handClock } from '../fixtures/handClock.ts'
import { blackhole, deaf, provider, rawUpstream } from '../fixtures/provider.ts'
import { wireClient, uploadHead } from '../fixtures/wireClient.ts'
import { startSidecar } from '../fixtures/startSidecar.ts'

const megabytes = (n: number): Buffer => Buffer.alloc(n * 1024 * 1024, 'a')
const jsonOf = (bytes: Buffer): Buffer => Buffer.concat([Buffer.from('{"input":"'), bytes, Buffer.from('"}')])
const sendJson = (url: string, body: Buffer): Promise<Response> =>
  fetch(`${url}/embeddings`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: new Uint8Array(body) })

async function failure(reply: Response): Promise<string> {
  await reply.text()
  return `${reply.status} ${reply.headers.get('x-outrider-error')}`
}

test('a large JSON body that the upstream does not take fails with write_timeout', async (t) => {
  const upstream = await provider(t, deaf())
  const sidecar = await startSidecar(t, upstream.url, { timeouts: { write: '150ms' } })
  assert.equal(await failure(await sendJson(sidecar.url, jsonOf(megabytes(16)))), '504 write_timeout')
})

test('an upload that the upstream stops taking fails with write_timeout, while the client still sends', async (t) => {
  const upstream = await blackhole(t)
  const sidecar = await startSidecar(t, upstream.url, { timeouts: { write: '150ms' } })
  const client = await wireClient(t, sidecar.port, uploadHead(64 * 1024 * 1024), megabytes(16))
  assert.match(await client.until('\r\n\r\n'), /^HTTP\/1.1 504 [^]*x-outrider-error: write_timeout/)
})

test('an upstream that reads slowly, but reads, gets the whole of a JSON body and of an upload', async (t) => {
  const body = jsonOf(megabytes(12))
  const upstream = await rawUpstream(t, async (socket, bytes) => {
    // Kernels let a writer go on only when a third of their buffer is free again: slower than this looks like a stall on a loopback.
    const slow = setInterval(() => {
      if (socket.isPaused()) socket.resume()
    }, 5)
    socket.on('data', () => socket.pause())
    socket.on('close', () => {
      clearInterval(slow)
    })
    const all = await bytes.until((so) => so.length >= body.length)
    assert.match(all.toString('latin1', 0, 400), new RegExp(`content-length: ${body.length}\r\n`))
    socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-type: application/json\r\n\r\n{}')
  })
  const sidecar = await startSidecar(t, upstream.url, { timeouts: { write: '3s' } })
  const form = { 'content-type': 'multipart/form-data; boundary=b' }
  const replies = await Promise.all([
    sendJson(sidecar.url, body),
    fetch(`${sidecar.url}/files`, { method: 'POST', headers: form, body: new Uint8Array(body) }),
  ])
  for (const reply of replies) assert.equal(reply.status, 200)
})

test('a client that pauses in its upload is not the fault of the upstream', async (t) => {
  const upstream = await provider(t, async ({ body, res }) => {
    res.end(String((await body).length))
  })
  const sidecar = await startSidecar(t, upstream.url, { timeouts: { write: '100ms' } })
  const client = await wireClient(t, sidecar.port, uploadHead(20), 'x'.repeat(10))
  await upstream.request(0)
  await timers.setTimeout(350)
  client.socket.write('x'.repeat(10))
  assert.match(await client.until('20'), /^HTTP\/1.1 200/)
})

// Looked at once in each bound, a request that stopped right after a look was given twice the time that was set.
for (const movedMs of [0, 1_000, 14_000, 16_000, 59_000, 100_000]) {
  test(`a request that stops after ${movedMs / 1_000} s fails when its bound has passed, and a quarter of it later at the latest`, () => {
    const clock = handClock()
    const beganMs = clock.now()
    let stoppedMs: number | undefined
    const socket = { writableLength: 5_000_000, bytesWritten: 5_000_000 }
    watchWriting({
      clock,
      writeMs: 60_000,
      connection: { socket, capacity: 1 } as unknown as Connection,
      outgoing: { body: null, length: undefined, progress: () => 0, waiting: () => false },
      handed: () => true,
      stop: ({ kind }) => {
        assert.equal(kind, 'write_timeout')
        stoppedMs = clock.now() - beganMs
      },
    })
    for (let ms = 0; ms < movedMs; ms += 500) {
      clock.pass(500)
      socket.writableLength -= 1_000
    }
    assert.equal(stoppedMs, undefined)
    clock.pass(200_000)
    assert.ok(stoppedMs !== undefined)
    const waitedMs = stoppedMs - movedMs
    // The clock rings up to a tick late.
    assert.ok(waitedMs >= 60_000 && waitedMs <= 75_000 + 5 * 50, `${waitedMs} ms`)
    assert.equal(clock.pending(), 0)
  })
}

/** A listener whose queue of new connections is full: the kernel lets further ones hang. */
async function fullListener(): Promise<{ port: number; close: () => void } | undefined> {
  const { spawn } = await import('node:child_process')
  // Only a process that accepts nothing lets its queue fill; this one stops itself once it listens.
  const script = `const s=require('net').createServer();s.listen({port:0,host:'127.0.0.1',backlog:1},()=>{
    require('fs').writeSync(1,s.address().port+'\\n');process.kill(process.pid,'SIGSTOP')})`
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [line] = (await once(child.stdout, 'data')) as [Buffer]
  const port = Number(line)
  const sockets = Array.from({ length: 8 }, () => connect(port, '127.0.0.1').on('error', () => {}))
  return {
    port,
    close: () => {
      for (const socket of sockets) socket.destroy()
      child.kill('SIGKILL')
    },
  }
}

test('a TCP connection that is never made fails with connect_timeout', { skip: process.platform !== 'linux' }, async (t) => {
  const listener = await fullListener()
  assert.ok(listener)
  t.after(listener.close)
  const sidecar = await startSidecar(t, `http://127.0.0.1:${listener.port}`, { timeouts: { connect: '300ms', total: '3s' } })
  assert.equal(await failure(await sendJson(sidecar.url, Buffer.from('{}'))), '504 connect_timeout')
})
