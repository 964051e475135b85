import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { test, type TestContext } from 'node:test'
import { connect as connectTls } from 'node:tls'
import { egressProxy } from '../fixtures/egressProxy.ts'
import { provider, stallAfter, testCertificates, type Tls } from '../fixtures/provider.ts'
import { kernelSockets, type KernelSocket } from '../fixtures/socketOptions.ts'
import { startSidecar, type Document } from '../fixtures/startSidecar.ts'
import { post } from '../fixtures/wireClient.ts'

// With Nagle's algorithm on, an event waits for the acknowledgement of the one before, which the other side delays by up to 40 ms.

const looked = kernelSockets()
const skip = typeof looked === 'string' && looked

function one(which: (socket: KernelSocket) => boolean): KernelSocket {
  const all = kernelSockets()
  assert.ok(typeof all !== 'string')
  const [found, ...others] = all.filter(which)
  assert.ok(found !== undefined && others.length === 0, JSON.stringify(all))
  return found
}

/** A client that leaves Nagle's algorithm on, in the middle of a stream. */
async function streaming(t: TestContext, port: number, ca: string | undefined): Promise<Socket> {
  const socket = ca === undefined ? connect(port, '127.0.0.1') : connectTls({ port, host: '127.0.0.1', ca })
  t.after(() => socket.destroy())
  socket.write(post('{"stream":true}'))
  await once(socket, 'data')
  return socket
}

const { ca, server } = testCertificates()
const trust: Document = { network: { ca: ca.certPath } }
const tls: Tls = { cert: server.cert, key: server.key }
const listener: Document = { listen: { tls: { cert: server.certPath, key: server.keyPath } } }

interface Ways {
  readonly tls?: Tls
  readonly document?: Document
  readonly throughProxy?: true
}

for (const [what, { document = {}, throughProxy, ...options }] of Object.entries<Ways>({
  'plain HTTP': {},
  'TLS to the upstream': { tls, document: trust },
  'TLS to the upstream, through an HTTP proxy': { tls, document: trust, throughProxy: true },
  'TLS from the client': { document: listener },
})) {
  test(`neither the client's connection nor the upstream's holds small writes back: ${what}`, { skip }, async (t) => {
    const upstream = await provider(t, stallAfter('{"choices":[]}'), options)
    const proxy = throughProxy && (await egressProxy(t))
    const sidecar = await startSidecar(t, upstream.url, document, proxy === undefined ? {} : { proxy: proxy.url })
    const client = await streaming(t, sidecar.port, document === listener ? ca.cert : undefined)
    const next = proxy === undefined ? upstream.port : Number(new URL(proxy.url).port)

    assert.equal(one(({ remotePort }) => remotePort === sidecar.port).noDelay, false, 'the client tells that the look can tell')
    assert.equal(one(({ localPort }) => localPort === sidecar.port).noDelay, true)
    assert.equal(one(({ remotePort }) => remotePort === next).noDelay, true)
    client.destroy()
    assert.equal(await (await upstream.request(0)).closed, true)
  })
}
