import assert from 'node:assert/strict'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { Agent, request } from 'node:https'
import type { IncomingMessage } from 'node:http'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { connect, type TLSSocket } from 'node:tls'
import { ConfigRefused } from '../../sidecar/config/config.ts'
import { folder, mountedSecret, replaceFile } from '../fixtures/mountedSecret.ts'
import { answers, provider, testCertificates } from '../fixtures/provider.ts'
import { refusalIn } from '../fixtures/rawClient.ts'
import { startSidecar, type Sidecar } from '../fixtures/startSidecar.ts'

const { ca, server, stranger } = testCertificates()

async function withTls(t: TestContext, cert: string, key: string): Promise<Sidecar> {
  const upstream = await provider(t, answers(200, { ok: true }))
  return startSidecar(t, upstream.url, { listen: { tls: { cert, key } } })
}

/** Who answers on the data port to a new connection. */
async function issuer(sidecar: Sidecar): Promise<string> {
  const socket = connect({ port: sidecar.port, host: '127.0.0.1', rejectUnauthorized: false })
  await once(socket, 'secureConnect')
  const { subject } = socket.getPeerCertificate()
  socket.destroy()
  return String(subject.CN)
}

async function call(sidecar: Sidecar, agent: Agent): Promise<{ status: number | undefined; reused: boolean }> {
  const req = request(`${sidecar.url}/models`, { agent, timeout: 10_000 }).end()
  const [res] = (await once(req, 'response')) as [IncomingMessage]
  res.resume()
  await once(res, 'end')
  return { status: res.statusCode, reused: req.reusedSocket }
}

test('calls come over TLS, and plain HTTP is turned away', async (t) => {
  const sidecar = await withTls(t, server.certPath, server.keyPath)
  const agent = new Agent({ ca: ca.cert })
  assert.deepEqual(await call(sidecar, agent), { status: 200, reused: false })
  await assert.rejects(fetch(sidecar.url.replace('https:', 'http:'), { signal: AbortSignal.timeout(10_000) }))
  assert.deepEqual(await call(sidecar, agent), { status: 200, reused: false })
})

test('a new certificate is shown to new connections, and the old ones live on', async (t) => {
  const secret = mountedSecret(t, { 'tls.crt': server.cert, 'tls.key': server.key })
  const sidecar = await withTls(t, secret.file('tls.crt'), secret.file('tls.key'))
  const agent = new Agent({ ca: ca.cert, keepAlive: true, maxSockets: 1 })
  t.after(() => {
    agent.destroy()
  })
  assert.deepEqual(await call(sidecar, agent), { status: 200, reused: false })
  assert.equal(await issuer(sidecar), 'test server')

  secret.swap({ 'tls.crt': stranger.cert, 'tls.key': stranger.key })
  await sidecar.logged('the certificate of the data port was read again')
  assert.equal(await issuer(sidecar), 'test stranger')
  assert.deepEqual(await call(sidecar, agent), { status: 200, reused: true })
  await assert.rejects(call(sidecar, new Agent({ ca: ca.cert })), { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' })
})

test('files that do not fit, or are no certificate, leave the certificate from before', async (t) => {
  const place = folder(t)
  const [cert, key] = [join(place, 'tls.crt'), join(place, 'tls.key')]
  writeFileSync(cert, server.cert)
  writeFileSync(key, server.key)
  const sidecar = await withTls(t, cert, key)
  replaceFile(cert, stranger.cert)
  await sidecar.logged('the one from before stays: ')
  assert.match(sidecar.log(), /is not the certificate of the key in listen\.tls\.key/)
  assert.equal(await issuer(sidecar), 'test server')

  replaceFile(cert, 'no certificate')
  await sidecar.logged('is of no use: it, or listen.tls.key, is no PEM file')
  assert.equal(await issuer(sidecar), 'test server')

  replaceFile(key, stranger.key)
  replaceFile(cert, stranger.cert)
  await sidecar.logged('the certificate of the data port was read again')
  assert.equal(await issuer(sidecar), 'test stranger')
})

test('at the start, files that cannot be used are refused with a sentence', async (t) => {
  const nowhere = join(folder(t), 'none')
  const refusals = [
    [nowhere, server.keyPath, /listen\.tls\.cert: does not exist/],
    [server.certPath, nowhere, /listen\.tls\.key: does not exist/],
    [server.certPath, stranger.keyPath, /listen\.tls\.cert: is not the certificate of the key in listen\.tls\.key/],
    [folder(t), server.keyPath, /listen\.tls\.cert: is a folder, not a file/],
  ] as const
  for (const [cert, key, says] of refusals) {
    await assert.rejects(startSidecar(t, 'http://127.0.0.1:1', { listen: { tls: { cert, key } } }), (err) => {
      assert(err instanceof ConfigRefused)
      assert.match(err.message, says)
      return true
    })
  }
})

test('a client that hangs in the middle of its handshake keeps nobody else waiting', async (t) => {
  const sidecar = await withTls(t, server.certPath, server.keyPath)
  const { Socket } = await import('node:net')
  const silent = new Socket().connect(sidecar.port, '127.0.0.1') as TLSSocket
  await once(silent, 'connect')
  assert.equal((await call(sidecar, new Agent({ ca: ca.cert }))).status, 200)
  silent.destroy()
})

test('a body that is too large gets its whole answer, though the client still sends, and a clean end', async (t) => {
  const upstream = await provider(t, [])
  const tls = { cert: server.certPath, key: server.keyPath }
  const sidecar = await startSidecar(t, upstream.url, { listen: { tls }, limits: { uploadBody: '10KiB' } })
  const socket = connect({ port: sidecar.port, host: '127.0.0.1', ca: ca.cert })
  t.after(() => socket.destroy())
  let text = ''
  let whole = false
  socket.on('data', (bytes: Buffer) => {
    text += bytes.toString()
  })
  socket.once('end', () => {
    whole = true
  })
  socket.on('error', () => {})
  const closed = new Promise((done) => socket.once('close', done))
  socket.write('POST /v1/files HTTP/1.1\r\nhost: x\r\ncontent-type: application/octet-stream\r\ncontent-length: 500000000\r\n\r\n')
  const piece = Buffer.alloc(64 * 1024, 'u')
  // Bytes that nobody reads any more would reset the connection under the answer.
  while (!whole && !socket.destroyed) await new Promise((done) => socket.write(piece, done))
  await closed
  assert.deepEqual([whole, socket.errored], [true, null])
  const { status, kind, close } = refusalIn(text)
  assert.deepEqual([status, kind, close], [413, 'body_too_large', true])
})
