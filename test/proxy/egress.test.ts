import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect as connectTcp, isIPv6 } from 'node:net'
import { suite, test } from 'node:test'
import type { TLSSocket } from 'node:tls'
import fc from 'fast-check'
import { ConfigRefused, parseConfig } from '../../sidecar/config/config.ts'
import { openTunnel } from '../../sidecar/proxy/upstream/egress.ts'
import { egressRules } from '../../sidecar/proxy/upstream/egressRules.ts'
import { egressFor } from '../../sidecar/proxy/upstream/egressFor.ts'
import { egressProxy } from '../fixtures/egressProxy.ts'
import { answers, blackhole, deadUpstream, provider, rawUpstream, secondName, testCertificates } from '../fixtures/provider.ts'
import { startSidecar, type Sidecar } from '../fixtures/startSidecar.ts'

const { ca, server, client, stranger } = testCertificates()
const tls = { cert: server.cert, key: server.key }

const call = (sidecar: Sidecar): Promise<Response> => fetch(`${sidecar.url}/models`, { signal: AbortSignal.timeout(10_000) })

async function succeeds(sidecar: Sidecar): Promise<void> {
  const reply = await call(sidecar)
  assert.equal(reply.status, 200, await reply.text())
}

async function failure(sidecar: Sidecar): Promise<{ kind: string | null; message: string }> {
  const reply = await call(sidecar)
  const { error } = (await reply.json()) as { error: { message: string } }
  return { kind: reply.headers.get('x-outrider-error'), message: error.message }
}

suite('through a proxy', { concurrency: true }, () => {
  test('an upstream with https is reached by a tunnel, and asked for by its name', async (t) => {
    const names: unknown[] = []
    const upstream = await provider(
      t,
      (exchange) => {
        names.push((exchange.socket as TLSSocket & { servername: string }).servername, exchange.req.headers.host)
        return answers(200)(exchange)
      },
      { tls },
    )
    const proxy = await egressProxy(t, { leadsTo: upstream.port })
    const network = { httpsProxy: proxy.url, httpProxy: 'http://127.0.0.1:1', ca: ca.certPath }
    const sidecar = await startSidecar(t, `https://${secondName}:${upstream.port}`, { network })
    await succeeds(sidecar)
    await succeeds(sidecar)
    const authority = `${secondName}:${upstream.port}`
    assert.deepEqual(names, [secondName, authority, secondName, authority])
    assert.deepEqual(proxy.asked, [`CONNECT ${authority} HTTP/1.1\r\nhost: ${authority}`], 'the tunnel is kept like any connection')
  })

  test('an upstream with plain http is reached by a tunnel too, so that the proxy is not shown the key in passing', async (t) => {
    const upstream = await provider(t, answers(200))
    const proxy = await egressProxy(t)
    await succeeds(await startSidecar(t, upstream.url, { network: { httpProxy: proxy.url, httpsProxy: 'http://127.0.0.1:1' } }))
    assert.equal(proxy.asked.length, 1)
    assert.equal(upstream.seen[0]?.path, '/v1/models')
  })

  test("the upstream's own word wins, for a proxy and against all", async (t) => {
    const upstream = await provider(t, answers(200))
    const [general, own] = [await egressProxy(t), await egressProxy(t)]
    const network = { httpProxy: general.url, noProxy: ['127.0.0.1'] }
    await succeeds(await startSidecar(t, upstream.url, { network }, { proxy: own.url }))
    assert.deepEqual([general.asked.length, own.asked.length], [0, 1])
    await succeeds(await startSidecar(t, upstream.url, { network: { httpProxy: general.url } }, { proxy: 'none' }))
    await succeeds(await startSidecar(t, upstream.url, { network }))
    assert.deepEqual([general.asked.length, own.asked.length], [0, 1])
  })

  test('the login is shown to the proxy, and to nobody else', async (t) => {
    const upstream = await provider(t, answers(200))
    const proxy = await egressProxy(t, { login: 'me:p@ss%word' })
    const withLogin = (login: string) => startSidecar(t, upstream.url, { network: { httpProxy: proxy.url.replace('//', `//${login}@`) } })
    const good = await withLogin('me:p%40ss%25word')
    await succeeds(good)
    assert.doesNotMatch(good.log(), /p@ss|p%40ss|cEBzcy/)
    assert.doesNotMatch(JSON.stringify(upstream.seen[0]?.rawHeaders), /proxy|cEBzcy/i)

    const bad = await withLogin('me:wrong%25')
    const { kind, message } = await failure(bad)
    assert.equal(kind, 'egress_failed')
    assert.match(message, /refused the tunnel: HTTP\/1\.1 407 Proxy Authentication Required \(its URL takes a login/)
    assert.doesNotMatch(message + bad.log(), /wrong%/)
  })

  test('a proxy that is reached over TLS is trusted by network.ca, and never shown our client certificate', async (t) => {
    const upstream = await provider(t, answers(200), { tls })
    const shown: unknown[] = []
    const proxy = await egressProxy(t, { tls: { ...tls, ca: ca.cert, requestCert: true, rejectUnauthorized: false } })
    const sees = await rawUpstream(
      t,
      (socket) => {
        shown.push((socket as TLSSocket).getPeerCertificate().subject)
        socket.end('HTTP/1.1 403 Forbidden\r\n\r\n')
      },
      { tls: { ...tls, ca: ca.cert, requestCert: true, rejectUnauthorized: false } },
    )
    const own = { tls: { cert: client.certPath, key: client.keyPath } }
    await succeeds(await startSidecar(t, upstream.url, { network: { httpsProxy: proxy.url, ca: ca.certPath } }, own))
    await failure(await startSidecar(t, upstream.url, { network: { httpsProxy: sees.url, ca: ca.certPath } }, own))
    assert.deepEqual(shown, [undefined])

    const strange = await startSidecar(t, upstream.url, { network: { httpsProxy: proxy.url, ca: stranger.certPath } })
    const { kind, message } = await failure(strange)
    assert.equal(kind, 'egress_failed')
    assert.match(message, /the HTTP proxy 127\.0\.0\.1:\d+ failed in its TLS handshake: .*not trusted here; put .*network\.ca/)
  })

  const refusals: Readonly<Record<string, { says: string | Buffer; expected: RegExp }>> = {
    refuses: { says: 'HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno', expected: /refused the tunnel: HTTP\/1\.1 403 Forbidden/ },
    'cannot reach the upstream': { says: 'HTTP/1.0 502 Bad Gateway\r\n\r\n', expected: /refused the tunnel: HTTP\/1\.0 502 Bad Gateway/ },
    'closes without a word': { says: '', expected: /closed the connection without an answer/ },
    'closes in the middle of a word': { says: 'HTTP/1.1 200 O', expected: /closed the connection without an answer/ },
    'speaks something else': { says: Buffer.from([5, 0, 13, 10, 13, 10]), expected: /answered with something that is not HTTP/ },
    'never comes to an end': { says: `HTTP/1.1 200 OK\r\nx: ${'x'.repeat(20_000)}`, expected: /answered with an endless header/ },
  }
  for (const [name, { says, expected }] of Object.entries(refusals)) {
    test(`a proxy that ${name}`, async (t) => {
      const proxy = await egressProxy(t, { says })
      const { kind, message } = await failure(await startSidecar(t, 'https://model.example', { network: { httpsProxy: proxy.url } }))
      assert.equal(kind, 'egress_failed')
      assert.match(message, expected)
      assert.equal(proxy.asked.length, 1, 'it is asked once')
    })
  }

  test('a proxy that breaks the connection, is not there, or has a name that leads nowhere', async (t) => {
    const breaking = await rawUpstream(t, (socket) => {
      socket.once('data', () => socket.resetAndDestroy())
    })
    const through = async (httpsProxy: string) => failure(await startSidecar(t, 'https://model.example', { network: { httpsProxy } }))
    const broken = await through(breaking.url)
    assert.deepEqual([broken.kind, breaking.connections.length], ['egress_failed', 1])
    assert.match(broken.message, /broke the connection \(.*ECONNRESET/)
    const dead = await through(await deadUpstream())
    assert.equal(dead.kind, 'egress_failed')
    assert.match(dead.message, /no connection to the HTTP proxy 127\.0\.0\.1:\d+ \(ECONNREFUSED/)
    const nowhere = await through('http://proxy.invalid:3128')
    assert.equal(nowhere.kind, 'egress_failed')
    assert.match(nowhere.message, /the name of the HTTP proxy proxy\.invalid:3128 does not resolve/)
  })

  test('a proxy that never answers, or never shakes hands, is given up after timeouts.connect', async (t) => {
    const silent = await egressProxy(t, { silent: true })
    const deaf = await blackhole(t)
    for (const url of [silent.url, deaf.url.replace('http:', 'https:')]) {
      const document = { network: { httpsProxy: url }, timeouts: { connect: '200ms' } }
      const { kind, message } = await failure(await startSidecar(t, 'https://model.example', document))
      assert.equal(kind, 'connect_timeout')
      assert.match(message, /no connection to model\.example:443 through the HTTP proxy 127\.0\.0\.1:\d+ within 0\.2 s/)
    }
  })
})

test('what comes right behind the answer of the proxy belongs to the tunnel', async (t) => {
  const proxy = await rawUpstream(t, (socket) => {
    socket.once('data', () => socket.write('HTTP/1.1 200 OK\r\n\r\nfirst words'))
  })
  const tcp = connectTcp(proxy.port, '127.0.0.1')
  await once(tcp, 'connect')
  const egress = { host: '127.0.0.1', port: proxy.port, secure: false, authorization: undefined, context: () => assert.fail('no TLS') }
  await new Promise<void>((done, fail) => {
    openTunnel({ egress, place: { host: '::1', port: 80 }, tcp, use: () => {} }, (err) => {
      if (err === undefined) done()
      else fail(err)
    })
  })
  const [bytes] = (await once(tcp, 'data')) as [Buffer]
  assert.equal(bytes.toString(), 'first words')
  assert.match(proxy.connections[0]?.all().toString() ?? '', /^CONNECT \[::1\]:80 HTTP\/1\.1\r\nhost: \[::1\]:80\r\n\r\n$/)
  tcp.destroy()
})

/** Whether the proxy is gone round. */
const direct = (url: string, ...noProxy: string[]): boolean =>
  egressFor(new URL(url), undefined, { httpsProxy: 'http://p:1', httpProxy: 'http://p:2', noProxy }) === undefined

test('every form of noProxy', () => {
  const covered: [string, string[]][] = [
    [
      'https://api.example',
      ['*', 'api.example', 'API.Example', '.example', '*.example', 'example', 'api.example:443', 'api.example.', '*.example:443'],
    ],
    ['https://api.example.', ['api.example']],
    ['http://api.example:8080', ['api.example', 'api.example:8080']],
    ['http://10.1.2.3', ['10.1.2.3', '10.0.0.0/8', '10.1.2.3/32', '0.0.0.0/0', '10.1.2.3:80']],
    ['http://[fd00::2]', ['[fd00::2]', 'fd00::2', 'FD00:0::2', '[fd00::2]:80', 'fd00::/8', '[fd00::]/8', '::/0']],
  ]
  for (const [url, entries] of covered) for (const entry of entries) assert.equal(direct(url, entry), true, `${url} ${entry}`)
  const others: [string, string[]][] = [
    ['https://api.example', ['pi.example', 'other.example', 'api.example:80', 'example.api', '10.0.0.0/8', '']],
    ['https://myexample', ['example', '.example']],
    ['http://10.1.2.3', ['10.1.2.4', '11.0.0.0/8', '2.3', '.2.3', '10.1.2.3:443', '10.0.0.0/', '10.0.0.0/33', 'fd00::/8', '::/0']],
    ['http://[fd00::2]', ['fd00::3', '[fd00::2]:443', 'fe00::/16', 'fd00::/129', '0.0.0.0/0']],
  ]
  for (const [url, entries] of others) for (const entry of entries) assert.equal(direct(url, entry), false, `${url} ${entry}`)
})

test('every form of noProxy is taken by the config, and what is no block is refused', async () => {
  const parse = (noProxy: string) =>
    parseConfig(JSON.stringify({ upstreams: [{ name: 'a', url: 'https://api.example/v1' }], network: { noProxy: [noProxy] } }), 'x')
  for (const entry of ['*', 'a.example', '.a', '*.a', 'a:443', '10.0.0.0/8', '::1', '[::1]', '[::1]:443', 'fd00::/8', '::/0'])
    await parse(entry)
  for (const entry of ['', 'a b', 'https://a', '10.0.0.0/33', '10.0.0.0/', 'fd00::/129', 'a/8'])
    await assert.rejects(parse(entry), ConfigRefused)
})

test('any address is covered by itself and by its blocks, any name by itself and by what stands behind a dot of it', () => {
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), fc.nat(32), (address, bits) => {
      const url = `http://${isIPv6(address) ? `[${address}]` : address}/`
      fc.pre(URL.canParse(url))
      assert.equal(direct(url, address), true)
      assert.equal(direct(url, `${address}/${bits}`), true)
      assert.equal(direct(url, `${address}/999`), false)
    }),
  )
  fc.assert(
    fc.property(fc.domain(), (domain) => {
      const suffix = domain.slice(domain.indexOf('.'))
      for (const entry of [domain, suffix, `*${suffix}`, `${domain}:443`])
        assert.equal(direct(`https://${domain}/`, 'x', entry), true, entry)
      assert.equal(direct(`https://x${domain}/`, domain), false)
    }),
  )
  fc.assert(
    fc.property(fc.string(), (entry) => {
      direct('https://api.example', entry)
      direct('https://[fd00::2]', entry)
    }),
  )
})

test('a proxy is taken apart: port, TLS and login, even one that is badly encoded', () => {
  const { context: _context, ...plain } = { context: 0, ...egressFor(new URL('https://a'), 'http://me:50%@[::1]', {}) }
  assert.deepEqual(plain, { host: '::1', port: 80, secure: false, authorization: btoa('me:50%') })
  const secure = egressFor(new URL('https://a'), 'https://:pw@proxy.example', {})
  assert.deepEqual(secure, { host: 'proxy.example', port: 443, secure: true, authorization: btoa(':pw') })
})

test('the environment names the proxies where the config does not, and never one for the loopback', () => {
  const env = {
    HTTPS_PROXY: 'http://ignored:1',
    https_proxy: 'proxy.example:3128',
    HTTP_PROXY: 'http://plain.example:8080',
    NO_PROXY: 'inside.example, .corp',
  }
  const rules = egressRules({}, env)
  const way = (url: string): string | undefined => egressFor(new URL(url), undefined, rules)?.host
  assert.equal(way('https://model.example'), 'proxy.example')
  assert.equal(way('http://model.example'), 'plain.example')
  for (const url of ['https://inside.example', 'https://a.corp', 'http://localhost:1', 'http://127.0.0.1:1', 'http://[::1]:1'])
    assert.equal(way(url), undefined)
  assert.equal(egressRules({ httpsProxy: 'http://config:1' }, env).httpsProxy, 'http://config:1')
  assert.throws(() => egressRules({}, { HTTP_PROXY: 'socks5://a:1' }), /HTTP_PROXY.*is not the URL of an HTTP proxy/)
})
