import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { SidecarError } from '../../sidecar/proxy/errors.ts'
import { cancel } from '../../sidecar/proxy/life.ts'
import { closeFrame, frames } from '../../sidecar/proxy/serve/frames.ts'
import { rawUpstream, testCertificates } from '../fixtures/provider.ts'
import { rawClient } from '../fixtures/rawClient.ts'
import { ask, closeOf, rawTunnel, switching, tunnelled, webSocketUpstream } from '../fixtures/websocket.ts'

/** Bytes of a text frame of 5, as servers send it. */
const hello = Buffer.from('\x81\x05hello', 'latin1')

/** What came behind the head of the 101. */
const afterHead = (text: string): string => text.slice(text.indexOf('\r\n\r\n') + 4)

/** Code and reason of the masked close frame behind all else that the upstream got. */
function maskedClose(bytes: Buffer): { before: string; code: number; reason: string } {
  const all = bytes.subarray(bytes.indexOf('\r\n\r\n') + 4)
  const counter = frames()
  let last = 0
  for (let at = 0; at < all.length; at = counter.take(all, at)) last = at
  const mask = all.subarray(last + 2, last + 6)
  const payload = Buffer.from(all.subarray(last + 6).map((byte, index) => byte ^ (mask[index % 4] ?? 0)))
  return { before: all.toString('latin1', 0, last), code: payload.readUInt16BE(), reason: payload.toString('utf8', 2) }
}

test('silence in both directions ends in a close frame for both, with a reason', async (t) => {
  const { client, upstream, sidecar } = await rawTunnel(t, { idleMs: 150 })
  client.socket.once('end', () => client.socket.end())
  const reason = 'Outrider: no frame in either direction for 0.15 s (timeouts.webSocketIdle) (idle_timeout)'
  const text = await client.closed
  assert.equal(afterHead(text), closeFrame(1011, reason, false).toString('latin1'))
  const { code, reason: told } = maskedClose(await (await upstream.connection(0)).closed)
  assert.deepEqual({ code, told }, { code: 1011, told: reason })
  assert.equal((await sidecar.reported(0)).facts.error, 'idle_timeout')
})

for (const from of ['client', 'upstream'] as const) {
  test(`frames of the ${from} alone keep the connection from being idle`, async (t) => {
    const { client, far, sidecar } = await rawTunnel(t, { idleMs: 1_000 })
    const began = sidecar.clock.now()
    let over = false
    void client.closed.then(() => (over = true))
    const talk = (): void => {
      if (from === 'client') client.send('\x81\x80mask')
      else far.write(hello)
      if (sidecar.clock.now() - began < 1_500 && !over) sidecar.clock.set(50, talk)
    }
    talk()
    client.socket.once('end', () => client.socket.end())
    await client.closed
    assert.ok(sidecar.clock.now() - began > 2_400)
    assert.equal((await sidecar.reported(0)).facts.error, 'idle_timeout')
  })
}

test('the total ends even a busy connection, with 1001 and a reason', async (t) => {
  const upstream = await webSocketUpstream(t)
  const { connect, reported } = await tunnelled(t, upstream.url, { totalMs: 300 })
  const socket = connect()
  await once(socket, 'open')
  socket.on('message', (data: Buffer) => {
    if (socket.readyState === socket.OPEN) socket.send(data)
  })
  socket.send('ping')
  assert.deepEqual(await closeOf(socket), {
    code: 1001,
    reason: 'Outrider: open for 0.3 s, as long as timeouts.streamTotal allows (total_timeout)',
  })
  assert.equal((await reported(0)).facts.error, 'total_timeout')
})

for (const tls of [false, true]) {
  test(`at the end of the grace both ends are told 1001, shutting down${tls ? ', over TLS too' : ''}`, async (t) => {
    const told = Promise.withResolvers<string>()
    const upstream = await webSocketUpstream(
      t,
      (socket) => {
        socket.on('close', (code, reason) => {
          told.resolve(`${code} ${reason.toString()}`)
        })
      },
      tls ? { tls: testCertificates().server } : {},
    )
    const { connect, tunnel, reported } = await tunnelled(t, upstream.url, { listenTls: tls })
    const socket = connect()
    await once(socket, 'open')
    tunnel.closeAll(1001, 'shutting down')
    assert.deepEqual(await closeOf(socket), { code: 1001, reason: 'shutting down' })
    assert.equal(await told.promise, '1001 shutting down')
    assert.equal((await reported(0)).facts.error, 'draining')
    await tunnel.settled()
    assert.equal(tunnel.open(), 0)
  })
}

test('a WebSocket can be ended by its life like any call', async (t) => {
  const upstream = await webSocketUpstream(t)
  const { connect, admission } = await tunnelled(t, upstream.url)
  const socket = connect()
  await once(socket, 'open')
  for (const life of admission.lives) cancel(life, new SidecarError('draining', 'the grace is over'))
  assert.deepEqual(await closeOf(socket), { code: 1001, reason: 'Outrider: this pod is shutting down (draining)' })
})

test('a close frame of ours waits for the end of the frame under way, and what follows that is dropped', async (t) => {
  const { client, far, upstream, sidecar } = await rawTunnel(t)
  far.write(Buffer.concat([hello, hello.subarray(0, 3)]))
  client.send('\x81\x85maskhe')
  await client.until('hello\x81\x05h')
  await (await upstream.connection(0)).until('maskhe')
  sidecar.tunnel.closeAll(1001, 'bye')
  client.socket.once('end', () => client.socket.end())
  far.write(Buffer.concat([hello.subarray(3), hello]))
  client.send('llo\x81\x80mask')
  assert.equal(afterHead(await client.closed), `\x81\x05hello\x81\x05hello${closeFrame(1001, 'bye', false).toString('latin1')}`)
  const { before, code, reason } = maskedClose(await (await upstream.connection(0)).closed)
  assert.deepEqual({ code, reason }, { code: 1001, reason: 'bye' })
  assert.equal(before, '\x81\x85maskhello')
})

test('a frame that does not end within a second ends in a reset', async (t) => {
  const { client, far, sidecar } = await rawTunnel(t)
  far.write(hello.subarray(0, 3))
  await client.until('\x81\x05h')
  const failed = once(client.socket, 'error')
  // It goes on holding its frame back when it has been told goodbye.
  far.allowHalfOpen = true
  const began = sidecar.clock.now()
  sidecar.tunnel.closeAll(1001, 'bye')
  assert.equal(((await failed)[0] as NodeJS.ErrnoException).code, 'ECONNRESET')
  const took = sidecar.clock.now() - began
  // How much later it comes depends on what else the machine has to do.
  assert.ok(took > 900, `${took} ms`)
  assert.equal(afterHead(await client.closed), '\x81\x05h')
})

test('a frame that can no longer end is not waited for', async (t) => {
  const { client, far, sidecar } = await rawTunnel(t)
  far.write(hello.subarray(0, 3))
  await client.until('\x81\x05h')
  const failed = once(client.socket, 'error')
  const began = sidecar.clock.now()
  sidecar.tunnel.closeAll(1001, 'bye')
  far.end()
  assert.equal(((await failed)[0] as NodeJS.ErrnoException).code, 'ECONNRESET')
  assert.ok(sidecar.clock.now() - began < 900)
})

test('behind a close frame of its own nobody is sent another', async (t) => {
  const { client, far, sidecar } = await rawTunnel(t)
  const theirs = closeFrame(4000, 'own', false)
  far.write(theirs)
  await client.until('own')
  sidecar.tunnel.closeAll(1001, 'bye')
  client.socket.once('end', () => client.socket.end())
  assert.equal(afterHead(await client.closed), theirs.toString('latin1'))
})

for (const tls of [false, true]) {
  for (const [how, leave] of [
    ['resets', (socket: Socket) => void (tls ? socket.destroy() : socket.resetAndDestroy())],
    ['ends', (socket: Socket) => void socket.end()],
  ] as const) {
    test(`a client is told 1011 when the upstream ${how} without a close frame${tls ? ' over TLS' : ''}`, async (t) => {
      const { client, far, sidecar } = await rawTunnel(t, {}, tls)
      client.socket.once('end', () => client.socket.end())
      far.write(hello)
      await client.until('hello')
      leave(far)
      const got = Buffer.from(afterHead(await client.closed), 'latin1')
      assert.deepEqual(got.subarray(0, hello.length), hello)
      const frame = got.subarray(hello.length)
      assert.deepEqual([frame[0], frame.readUInt16BE(2)], [0x88, 1011])
      assert.match(frame.toString('utf8', 4), /^Outrider: the upstream .* without a close frame \(reply_cut\)$/)
      assert.equal((await sidecar.reported(0)).facts.error, 'reply_cut')
    })
  }
}

test('an upstream that breaks off in the middle of a frame ends in a reset, not in an end', async (t) => {
  const { client, far } = await rawTunnel(t)
  far.write(hello.subarray(0, 4))
  await client.until('\x81\x05he')
  const failed = once(client.socket, 'error')
  far.end()
  assert.equal(((await failed)[0] as NodeJS.ErrnoException).code, 'ECONNRESET')
})

for (const [how, leave] of [
  ['resets', (socket: Socket) => void socket.resetAndDestroy()],
  ['ends', (socket: Socket) => void socket.end()],
] as const) {
  test(`a client that ${how} without a close frame closes the upstream's socket`, async (t) => {
    const { client, upstream, sidecar } = await rawTunnel(t)
    leave(client.socket)
    await (
      await upstream.connection(0)
    ).closed
    assert.equal((await sidecar.reported(0)).facts.error, 'client_gone')
  })
}

test('a client that breaks off is not waited for by what an upstream that does not read was still to get', async (t) => {
  const { client, far, sidecar } = await rawTunnel(t)
  far.pause()
  const [out] = sidecar.dialled
  assert.ok(out !== undefined)
  const flood = Buffer.alloc(1024 * 1024)
  // One frame that never ends.
  client.send('\x82\xff\x00\x00\xff\x00\x00\x00\x00\x00mask')
  while (!out.writableNeedDrain) {
    if (client.socket.writableLength < flood.length) client.send(flood)
    await turn()
  }
  client.socket.resetAndDestroy()
  far.write(hello)
  await sidecar.tunnel.settled()
  assert.equal((await sidecar.reported(0)).facts.error, 'client_gone')
})

test('an upstream that never closes its half is not waited for', async (t) => {
  const far = Promise.withResolvers<Socket>()
  const upstream = await rawUpstream(t, async (socket, bytes) => {
    // From now on the other's end is not answered by one of ours.
    socket.allowHalfOpen = true
    await bytes.until('\r\n\r\n')
    socket.write(switching())
    far.resolve(socket)
  })
  const { port, tunnel, dialled } = await tunnelled(t, upstream.url)
  const client = await rawClient(t, port)
  client.send(ask())
  await client.until('\r\n\r\n')
  await far.promise
  client.socket.end()
  await tunnel.settled()
  assert.equal(dialled[0]?.destroyed, true)
})
