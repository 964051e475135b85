import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Server as HttpServer } from 'node:http'
import { createServer, type AddressInfo } from 'node:net'
import { test, type TestContext } from 'node:test'
import { listen } from '../../sidecar/proxy/serve/listener.ts'

const options = {
  host: 'localhost',
  port: 0,
  tls: undefined,
  headerBytes: 16_384,
  clientHeadMs: 1_000,
  keepAliveMs: 1_000,
  onCall: () => {},
  onUpgrade: () => {},
  onRefused: () => {},
}

interface Where {
  readonly host: string
  readonly port: number
}

/** Says in the kernel's place what it says to some attempts to listen; the others are made for real. */
function kernelSays(t: TestContext, answer: (where: Where, nth: number) => string | undefined): Where[] {
  const tried: Where[] = []
  const real = Reflect.get(HttpServer.prototype, 'listen') as (this: HttpServer, where: Where, done: () => void) => HttpServer
  t.mock.method(HttpServer.prototype, 'listen', function (this: HttpServer, where: Where, done: () => void) {
    const code = answer(where, tried.push(where) - 1)
    if (code === undefined) return real.call(this, where, done)
    setImmediate(() => this.emit('error', Object.assign(new Error(code), { code })))
    return this
  })
  return tried
}

// The kernel picked a port that was free on 127.0.0.1, another program held it on ::1, and a start with port 0 failed now and then.
test('any free port is one that is free on both addresses', async (t) => {
  const tried = kernelSays(t, ({ host }, nth) => (host === '::1' ? (nth === 1 ? 'EADDRINUSE' : 'EAFNOSUPPORT') : undefined))
  const listening = await listen(options)
  t.after(listening.stopListening)
  assert.deepEqual(
    tried.map(({ host }) => host),
    ['127.0.0.1', '::1', '127.0.0.1', '::1'],
  )
  assert.deepEqual([tried[0]?.port, tried[2]?.port], [0, 0], 'another port is looked for')
  assert.equal(tried[3]?.port, listening.port, 'and asked for on both')
})

test('where no port is free on both addresses, the search ends', async (t) => {
  kernelSays(t, ({ host }) => (host === '::1' ? 'EADDRINUSE' : undefined))
  await assert.rejects(listen(options), { code: 'EADDRINUSE' })
})

test('a port that was asked for is that one or none', async (t) => {
  const other = createServer().listen({ host: '127.0.0.1', port: 0 })
  t.after(() => other.close())
  await once(other, 'listening')
  await assert.rejects(listen({ ...options, port: (other.address() as AddressInfo).port }), { code: 'EADDRINUSE' })
})

for (const [missing, code, left] of [
  ['::1', 'EAFNOSUPPORT', '127.0.0.1'],
  ['::1', 'EADDRNOTAVAIL', '127.0.0.1'],
  ['127.0.0.1', 'EAFNOSUPPORT', '[::1]'],
] as const) {
  test(`a pod without ${missing} (${code}) is served on ${left} alone`, async (t) => {
    kernelSays(t, ({ host }) => (host === missing ? code : undefined))
    const listening = await listen(options)
    t.after(listening.stopListening)
    assert.deepEqual(listening.addresses, [`${left}:${listening.port}`])
  })
}

test('a pod without any loopback address is told so', async (t) => {
  kernelSays(t, () => 'EADDRNOTAVAIL')
  await assert.rejects(listen(options), /neither 127\.0\.0\.1 nor ::1/)
})
