import { egressProxy, type EgressOptions } from '../../fixtures/egressProxy.ts'
import { blackhole, deadUpstream, expiredCertificate, provider, rawUpstream, stall, testCertificates } from '../../fixtures/provider.ts'
import type { Owner, Tls } from '../../fixtures/providerExchange.ts'
import type { Document } from '../../fixtures/startSidecar.ts'
import { messagesCall } from '../asking.ts'
import { callScene, type Place } from '../callScene.ts'
import type { Chapter } from '../scene.ts'

const overTls = (url: string): string => url.replace('http:', 'https:')
const secure = async (t: Owner, tls: Tls, document: Document = {}): Promise<Place> => ({
  url: (await provider(t, stall(), { tls })).url,
  document,
})
const pairOf = ({ cert, key }: { cert: string; key: string }): Tls => ({ cert, key })
const through =
  (options: EgressOptions) =>
  async (t: Owner): Promise<Place> => ({
    url: 'https://model.example',
    document: { network: { httpsProxy: (await egressProxy(t, options)).url } },
  })
const byProxy = (httpsProxy: string, more: Document = {}): Place => ({
  url: 'https://model.example',
  document: { network: { httpsProxy }, ...more },
})

/** The upstream cannot be reached. */
export const connecting: Chapter = {
  title: 'Upstreams that cannot be reached',
  scenes: [
    callScene('a host name that does not resolve', {
      kind: 'dns_failed',
      says: ['model.invalid'],
      at: async () => ({ url: 'http://model.invalid' }),
    }),
    callScene('a port where nobody listens', {
      kind: 'connect_failed',
      says: ['could not be reached', '127.0.0.1', 'ECONNREFUSED'],
      at: async () => ({ url: await deadUpstream() }),
    }),
    callScene('the same at /v1/messages, in the shape of Anthropic', {
      kind: 'connect_failed',
      says: ['ECONNREFUSED', '"type":"api_error"'],
      at: async () => ({ url: await deadUpstream() }),
      asking: messagesCall,
    }),
    callScene('a server that never shakes hands', {
      kind: 'connect_timeout',
      says: ['127.0.0.1', '0.15 s', 'timeouts.connect'],
      at: async (t) => ({ url: overTls((await blackhole(t)).url), document: { timeouts: { connect: '150ms' } } }),
    }),
    callScene('a certificate of an unknown authority', {
      kind: 'tls_failed',
      says: ['network.ca', '127.0.0.1'],
      at: (t) => secure(t, pairOf(testCertificates().server)),
    }),
    callScene('a certificate that has expired', {
      kind: 'tls_failed',
      says: ['expired'],
      at: (t) => {
        const old = expiredCertificate()
        return secure(t, pairOf(old), { network: { ca: old.certPath } })
      },
    }),
    callScene('a certificate for another name', {
      kind: 'tls_failed',
      says: ['another name', 'tls.serverName'],
      at: async (t) => {
        const { ca, server } = testCertificates()
        return { ...(await secure(t, pairOf(server), { network: { ca: ca.certPath } })), own: { tls: { serverName: 'other.example' } } }
      },
    }),
    callScene('https for a server that speaks plain HTTP', {
      kind: 'tls_failed',
      says: ['does not speak TLS', 'http://'],
      at: async (t) => ({ url: overTls((await rawUpstream(t, (socket) => void socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'))).url) }),
    }),
    callScene('a server that asks for a client certificate', {
      kind: 'tls_failed',
      says: ['client certificate', 'tls.cert'],
      at: (t) => {
        const { ca, server } = testCertificates()
        return secure(t, { ...pairOf(server), ca: ca.cert, requestCert: true, rejectUnauthorized: true }, { network: { ca: ca.certPath } })
      },
    }),
    callScene('a server that closes in the middle of the handshake', {
      kind: 'tls_failed',
      says: ['closed the connection in the middle of it'],
      at: async (t) => ({ url: overTls((await rawUpstream(t, (socket) => void socket.once('data', () => socket.end()))).url) }),
    }),
    callScene('a server that resets the connection in the middle of the handshake', {
      kind: 'tls_failed',
      says: ['ECONNRESET'],
      at: async (t) => ({ url: overTls((await rawUpstream(t, (socket) => void socket.once('data', () => socket.resetAndDestroy()))).url) }),
    }),
    callScene('http for a server that speaks TLS', {
      kind: 'no_reply',
      says: ['https://'],
      at: async (t) => ({ url: (await provider(t, stall(), { tls: pairOf(testCertificates().server) })).url.replace('https:', 'http:') }),
    }),
    callScene('an HTTP proxy that wants a login', {
      kind: 'egress_failed',
      says: ['407', 'USER:PASSWORD'],
      at: through({ login: 'someone:else' }),
    }),
    callScene('an HTTP proxy that refuses', {
      kind: 'egress_failed',
      says: ['could not be reached', '403 Forbidden'],
      at: through({ says: 'HTTP/1.1 403 Forbidden\r\n\r\n' }),
    }),
    callScene('an HTTP proxy that closes without a word', {
      kind: 'egress_failed',
      says: ['closed the connection without an answer'],
      at: through({ says: '' }),
    }),
    callScene('an HTTP proxy that speaks something else', {
      kind: 'egress_failed',
      says: ['not HTTP'],
      at: through({ says: 'SOCKS?\r\n\r\n' }),
    }),
    callScene('an HTTP proxy whose header has no end', {
      kind: 'egress_failed',
      says: ['endless header'],
      at: through({ says: `HTTP/1.1 200 OK\r\nx: ${'x'.repeat(20_000)}` }),
    }),
    callScene('an HTTP proxy that breaks the connection', {
      kind: 'egress_failed',
      says: ['ECONNRESET'],
      at: async (t) => byProxy((await rawUpstream(t, (socket) => void socket.once('data', () => socket.resetAndDestroy()))).url),
    }),
    callScene('an HTTP proxy where nobody listens', {
      kind: 'egress_failed',
      says: ['ECONNREFUSED'],
      at: async () => byProxy(await deadUpstream()),
    }),
    callScene('an HTTP proxy whose name does not resolve', {
      kind: 'egress_failed',
      says: ['proxy.invalid:3128'],
      at: async () => byProxy('http://proxy.invalid:3128'),
    }),
    callScene('an HTTP proxy behind TLS, of an unknown authority', {
      kind: 'egress_failed',
      says: ['TLS handshake', 'network.ca'],
      at: (t) => through({ tls: pairOf(testCertificates().server) })(t),
    }),
    callScene('an HTTP proxy behind TLS that closes in the handshake', {
      kind: 'egress_failed',
      says: ['closed the connection in the middle of it'],
      at: async (t) => byProxy(overTls((await rawUpstream(t, (socket) => void socket.once('data', () => socket.end()))).url)),
    }),
    callScene('an HTTP proxy that never answers', {
      kind: 'connect_timeout',
      says: ['model.example:443', 'through the HTTP proxy', 'timeouts.connect'],
      at: async (t) => byProxy((await blackhole(t)).url, { timeouts: { connect: '150ms' } }),
    }),
  ],
}
