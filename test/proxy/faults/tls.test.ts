import { connect } from 'node:net'
import type { TestContext } from 'node:test'
import { fails, type Unreachable } from '../../fixtures/failing.ts'
import type { Document } from '../../fixtures/startSidecar.ts'
import { blackhole, expiredCertificate, provider, rawUpstream, testCertificates, type Certificate } from '../../fixtures/provider.ts'

const { ca, server, stranger } = testCertificates()
const expired = expiredCertificate()

/** Speaks TLS with this certificate; what comes behind the handshake is not for it. */
const shows =
  ({ cert, key }: Certificate, own: Document) =>
  async (t: TestContext): Promise<Unreachable> => ({ url: (await provider(t, [], { tls: { cert, key } })).url, own })

const secure = (url: string): string => url.replace('http:', 'https:')

/** Lets a handshake through to one that would do, as far as these many bytes of its answer, and one byte each time that is asked for. */
async function half(t: TestContext, bytes: number, then: 'close' | 'drip'): Promise<Unreachable> {
  const behind = await provider(t, [], { tls: { cert: server.cert, key: server.key } })
  const front = await rawUpstream(t, (socket) => {
    const further = connect(behind.port, '127.0.0.1')
    socket.pipe(further)
    further.on('error', () => {})
    socket.once('close', () => further.destroy())
    let left = bytes
    further.on('data', (part: Buffer) => {
      if (left > 0) socket.write(part.subarray(0, left))
      const rest = part.subarray(left)
      left = Math.max(0, left - part.length)
      if (left > 0) return
      if (then === 'close') return socket.destroy()
      let at = 0
      const drip = setInterval(() => socket.write(rest.subarray(at, ++at)), 40)
      socket.once('close', () => clearInterval(drip))
    })
  })
  return { url: secure(front.url), own: { tls: { ca: ca.certPath } } }
}

const failed = { outcome: 'tls_failed', attempts: 3, kind: 'tls_failed' } as const
const late = { outcome: 'connect_timeout', attempts: 3, kind: 'connect_timeout', document: { timeouts: { connect: '300ms' } } } as const

fails('a certificate that is out of date', { at: shows(expired, { tls: { ca: expired.certPath } }), ...failed })
fails('a certificate for another name', { at: shows(server, { tls: { ca: ca.certPath, serverName: 'wrong.example' } }), ...failed })
fails('a certificate of an unknown authority', { at: shows(stranger, {}), ...failed })
fails('a handshake that is cut in its middle', { at: (t) => half(t, 40, 'close'), ...failed })
fails('a port that closes in place of a handshake', {
  at: async (t) => ({ url: secure((await rawUpstream(t, (socket) => void socket.end())).url) }),
  ...failed,
})
fails('a port that speaks plain HTTP', {
  at: async (t) => ({ url: secure((await rawUpstream(t, (socket) => void socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'))).url) }),
  ...failed,
})
fails('a handshake that never begins', { at: async (t) => ({ url: secure((await blackhole(t)).url) }), ...late })
fails('a handshake that comes byte by byte', { at: (t) => half(t, 40, 'drip'), ...late })
