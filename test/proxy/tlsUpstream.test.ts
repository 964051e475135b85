import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite, test, type TestContext } from 'node:test'
import type { TLSSocket } from 'node:tls'
import { ConfigRefused } from '../../sidecar/config/config.ts'
import { folder, replaceFile } from '../fixtures/mountedSecret.ts'
import {
  answers,
  expiredCertificate,
  provider,
  rawUpstream,
  secondName,
  testCertificates,
  type Provider,
  type Step,
  type Tls,
} from '../fixtures/provider.ts'
import { startSidecar, type Document, type Sidecar } from '../fixtures/startSidecar.ts'

const { ca, server, client, stranger } = testCertificates()
const serverTls: Tls = { cert: server.cert, key: server.key }
const trusting: Document = { network: { ca: ca.certPath } }

const call = (sidecar: Sidecar): Promise<Response> => fetch(`${sidecar.url}/models`, { signal: AbortSignal.timeout(10_000) })

async function failure(sidecar: Sidecar): Promise<string> {
  const reply = await call(sidecar)
  const { error } = (await reply.json()) as { error: { message: string } }
  assert.equal(reply.headers.get('x-outrider-error'), 'tls_failed', error.message)
  assert.equal(reply.status, 502)
  return error.message
}

async function succeeds(sidecar: Sidecar): Promise<void> {
  const reply = await call(sidecar)
  assert.equal(reply.status, 200, await reply.text())
}

/** What the upstream saw of the TLS of each request. */
function watching(): { step: Step; seen: { name: unknown; host: unknown; subject: unknown; resumed: boolean }[] } {
  const seen: { name: unknown; host: unknown; subject: unknown; resumed: boolean }[] = []
  const step: Step = async (exchange) => {
    const socket = exchange.socket as TLSSocket & { servername: string | false }
    const subject = socket.getPeerCertificate().subject?.CN
    seen.push({ name: socket.servername, host: exchange.req.headers.host, subject, resumed: socket.isSessionReused() })
    await answers(200, { ok: true })(exchange)
  }
  return { step, seen }
}

/** The same upstream under another name. */
const named = (upstream: Provider, host: string): string => `https://${host}:${upstream.port}`

suite('trust', { concurrency: true }, () => {
  test('an authority of network.ca, or of the upstream alone, is trusted; without it the message says what to set', async (t) => {
    const upstream = await provider(t, answers(200), { tls: serverTls })
    await succeeds(await startSidecar(t, upstream.url, trusting))
    await succeeds(await startSidecar(t, upstream.url, {}, { tls: { ca: ca.certPath } }))
    const message = await failure(await startSidecar(t, upstream.url))
    assert.match(message, /signed by an authority that is not trusted here; put the authority's PEM file into network\.ca or .*tls\.ca/)
    assert.match(message, /UNABLE_TO_VERIFY_LEAF_SIGNATURE/)
  })

  test('authorities of both places and the usual ones are trusted together', async (t) => {
    const usual = await provider(t, answers(200), { tls: serverTls })
    const own = await provider(t, answers(200), { tls: { cert: stranger.cert, key: stranger.key } })
    // In a process of its own the test's authority is one of the usual ones.
    const script = `
      import { openTrust } from ${JSON.stringify(join(import.meta.dirname, '../../sidecar/proxy/upstream/trust.ts'))}
      import { connect } from 'node:tls'
      const trust = openTrust({ cas: [{ setting: 'network.ca', file: process.argv[1] }] }, () => {})
      for (const port of process.argv.slice(2)) {
        const socket = connect({ port: Number(port), host: '127.0.0.1', secureContext: trust.context() })
        await new Promise((done, fail) => socket.once('secureConnect', done).once('error', fail))
        socket.destroy()
      }
      trust.close()`
    const args = ['--input-type=module', '--eval', script, stranger.certPath, String(usual.port), String(own.port)]
    const child = spawn(process.execPath, args, { env: { NODE_EXTRA_CA_CERTS: ca.certPath }, stdio: ['ignore', 'ignore', 'inherit'] })
    const code = await new Promise((done) => {
      child.once('close', done)
    })
    assert.equal(code, 0)
    const both = { network: { ca: ca.certPath } }
    await succeeds(await startSidecar(t, own.url, both, { tls: { ca: stranger.certPath } }))
    await succeeds(await startSidecar(t, usual.url, both, { tls: { ca: stranger.certPath } }))
  })

  test('a new file of authorities holds for new connections, resumed sessions among them, and a bad one leaves the one before', async (t) => {
    const { step, seen } = watching()
    const upstream = await provider(t, step, { tls: serverTls, keepAliveMs: 1 })
    const file = join(folder(t), 'ca.pem')
    writeFileSync(file, ca.cert)
    const sidecar = await startSidecar(t, upstream.url, { network: { ca: file } })
    await succeeds(sidecar)
    replaceFile(file, 'no certificate')
    await sidecar.logged('holds no certificate in PEM form')
    await succeeds(sidecar)
    const before = seen.length
    replaceFile(file, stranger.cert)
    await sidecar.logged('certificates read again')
    // A kept connection may serve once more; no new one may be opened.
    let reply = await call(sidecar)
    for (let n = 0; n < 5 && reply.status === 200; n++) reply = await call(sidecar)
    assert.match(await reply.text(), /not trusted here/)
    assert.ok(seen.length - before <= 2)
    replaceFile(file, `${stranger.cert}\n${ca.cert}`)
    await sidecar.logged('certificates read again')
    while ((await call(sidecar)).status !== 200);
  })

  test('files that cannot be used are refused at the start', async (t) => {
    const place = folder(t)
    writeFileSync(join(place, 'text'), 'no certificate')
    writeFileSync(join(place, 'broken'), '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n')
    const refusals: [Document, RegExp][] = [
      [{ ca: join(place, 'none') }, /none upstreams\.fake\.tls\.ca: does not exist: check the path/],
      [{ ca: join(place, 'text') }, /text upstreams\.fake\.tls\.ca: holds no certificate in PEM form/],
      [{ ca: join(place, 'broken') }, /broken upstreams\.fake\.tls\.ca: holds a certificate that cannot be read, number 1 of 1/],
      [
        { cert: client.certPath, key: server.keyPath },
        /server\.key upstreams\.fake\.tls\.key: cannot be used with .*client\.crt \(.*key values mismatch/,
      ],
    ]
    for (const [tls, says] of refusals) {
      await assert.rejects(startSidecar(t, 'https://127.0.0.1:1', {}, { tls }), (err) => {
        assert(err instanceof ConfigRefused)
        assert.match(err.message, says)
        return true
      })
    }
  })

  test('a certificate for another name, or out of date, is not taken', async (t) => {
    const upstream = await provider(t, answers(200), { tls: serverTls })
    const elsewhere = { network: { ca: ca.certPath, hostAliases: { 'other.example': ['127.0.0.1'] } } }
    const message = await failure(await startSidecar(t, named(upstream, 'other.example'), elsewhere))
    assert.match(message, /the certificate of other\.example is for another name \(.*model\.example.*set the upstream's tls\.serverName/)

    const old = expiredCertificate()
    const late = await provider(t, answers(200), { tls: old })
    assert.match(
      await failure(await startSidecar(t, late.url, { network: { ca: old.certPath } })),
      /certificate of 127\.0\.0\.1 (?:has expired|is not valid yet)/,
    )
  })
})

suite('names', { concurrency: true }, () => {
  test('by alias and by address the upstream is asked for by its name, in TLS and in the host header', async (t) => {
    const { step, seen } = watching()
    const upstream = await provider(t, step, { tls: serverTls })
    const host = `${secondName}:${upstream.port}`
    await succeeds(await startSidecar(t, `https://${host}`, { network: { ca: ca.certPath, hostAliases: { [secondName]: ['127.0.0.1'] } } }))
    await succeeds(await startSidecar(t, `https://${host}`, trusting, { addresses: ['127.0.0.1'] }))
    const expected = { name: secondName, host, subject: undefined, resumed: false }
    assert.deepEqual(seen, [expected, expected])
  })

  test('tls.serverName is what is asked for and checked, the host header stays that of the url', async (t) => {
    const { step, seen } = watching()
    const upstream = await provider(t, step, { tls: serverTls })
    const elsewhere = { network: { ca: ca.certPath, hostAliases: { 'other.example': ['127.0.0.1'] } } }
    await succeeds(await startSidecar(t, named(upstream, 'other.example'), elsewhere, { tls: { serverName: secondName } }))
    assert.deepEqual([seen[0]?.name, seen[0]?.host], [secondName, `other.example:${upstream.port}`])
    assert.match(await failure(await startSidecar(t, upstream.url, trusting, { tls: { serverName: 'wrong.example' } })), /for another name/)
  })

  test('an address in the url is checked against the certificate, and not asked for by name', async (t) => {
    const { step, seen } = watching()
    const upstream = await provider(t, step, { tls: serverTls })
    await succeeds(await startSidecar(t, upstream.url, trusting))
    assert.equal(seen[0]?.name, false)
    const elsewhere = await startSidecar(t, `https://192.0.2.1:${upstream.port}`, trusting, { addresses: ['127.0.0.1'] })
    assert.match(await failure(elsewhere), /the certificate of 192\.0\.2\.1 is for another name \(IP: 192\.0\.2\.1 is not in/)
  })
})

test('a client certificate is shown where the upstream has one, and its absence is told as such', async (t) => {
  for (const maxVersion of ['TLSv1.3', 'TLSv1.2'] as const) {
    const { step, seen } = watching()
    const upstream = await provider(t, step, { tls: { ...serverTls, ca: ca.cert, requestCert: true, maxVersion } })
    await succeeds(await startSidecar(t, upstream.url, trusting, { tls: { cert: client.certPath, key: client.keyPath } }))
    assert.equal(seen[0]?.subject, 'test client')
    // A server of Node closes without a word; what OpenSSL's own says depends on the version, and comes after the handshake with 1.3.
    const silent = await call(await startSidecar(t, upstream.url, trusting))
    assert.equal(silent.status, 502)
    assert.match(await silent.text(), /does it ask for a client certificate \(the upstream's tls\.cert and tls\.key\)/)
    assert.equal(seen.length, 1)

    const version = maxVersion === 'TLSv1.3' ? '-tls1_3' : '-tls1_2'
    const port = await openSslServer(t, '-cert', server.certPath, '-key', server.keyPath, '-Verify', '1', '-verify_return_error', version)
    const message = await failure(await startSidecar(t, `https://127.0.0.1:${port}`, trusting))
    assert.match(message, /does it ask for a client certificate .*ALERT/)
  }
})

test('the second connection resumes the session of the first', async (t) => {
  for (const maxVersion of ['TLSv1.3', 'TLSv1.2'] as const) {
    const { step, seen } = watching()
    const closing: Step = (exchange) => {
      exchange.res.shouldKeepAlive = false
      return step(exchange)
    }
    const upstream = await provider(t, closing, { tls: { ...serverTls, maxVersion } })
    const sidecar = await startSidecar(t, upstream.url, trusting)
    await succeeds(sidecar)
    await succeeds(sidecar)
    assert.deepEqual(
      seen.map(({ resumed }) => resumed),
      [false, true],
      maxVersion,
    )
  }
})

test('TLS spoken to a plain port, and plain HTTP to a TLS port, are told apart from other failures', async (t) => {
  const plain = await rawUpstream(t, (socket) => {
    socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')
  })
  const message = await failure(await startSidecar(t, plain.url.replace('http:', 'https:')))
  assert.match(message, /127\.0\.0\.1 does not speak TLS on this port; should the url begin with http:\/\//)

  const closing = await rawUpstream(t, (socket) => {
    socket.end()
  })
  assert.match(await failure(await startSidecar(t, closing.url.replace('http:', 'https:'))), /TLS handshake/)

  const secure = await provider(t, [], { tls: serverTls })
  const reply = await call(await startSidecar(t, secure.url.replace('https:', 'http:')))
  assert.equal(reply.status, 502)
  assert.match(await reply.text(), /if the upstream expects TLS on this port, its url must begin with https:\/\//)
})

/** Another implementation of the other side than ours. */
async function openSslServer(t: TestContext, ...args: readonly string[]): Promise<string> {
  const child = spawn('openssl', ['s_server', '-accept', '0', '-www', ...args], { stdio: ['ignore', 'pipe', 'ignore'] })
  t.after(() => {
    child.kill()
  })
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  let said = ''
  child.stdout.on('data', (chunk: Buffer) => {
    said += chunk.toString()
    const [, port] = /^ACCEPT .*:(\d+)$/m.exec(said) ?? []
    if (port !== undefined) resolve(port)
  })
  child.once('close', () => {
    reject(new Error(`openssl did not listen: ${said}`))
  })
  return promise
}
