import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { hash } from 'node:crypto'
import { once } from 'node:events'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { suite, test, type TestContext } from 'node:test'
import { kinds } from '../../sidecar/proxy/errors.ts'
import { egressProxy } from '../fixtures/egressProxy.ts'
import { folder } from '../fixtures/mountedSecret.ts'
import * as fake from '../fixtures/provider.ts'
import { startSidecar, type Document, type Sidecar } from '../fixtures/startSidecar.ts'

const key = 'sk-secret-9d1f27c4e8'
const clientKey = 'client-secret-51ab7e'
const prompt = 'canary-prompt-7731'
const query = 'canary-query-4410'
const login = 'canary-login-8823'
const secrets = [key, clientKey, prompt, query, login, btoa(`me:${login}`)]

/** Fails where one of the secrets stands in `text`. */
function isClean(text: string, what: string): void {
  for (const secret of secrets) assert.equal(text.includes(secret), false, `${what} holds ${secret}: ${text.slice(0, 2_000)}`)
}

const stream = { body: JSON.stringify({ model: 'm', stream: true, messages: [{ role: 'user', content: prompt }] }) }

/** A call that carries every secret a client can carry; gives everything that came back, headers too. */
async function call(url: string, path: string, init: RequestInit = {}): Promise<string> {
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${clientKey}`, 'x-api-key': clientKey, cookie: clientKey }
  try {
    const reply = await fetch(`${url}${path}?q=${query}`, {
      method: 'POST',
      headers,
      body: JSON.stringify({ model: 'm', messages: [{ role: 'user', content: prompt }] }),
      signal: AbortSignal.timeout(20_000),
      ...init,
    })
    return `${reply.status} ${JSON.stringify([...reply.headers])} ${await reply.text()}`
  } catch (err) {
    return `broken off: ${String(err)}`
  }
}

/** What a bare connection gets for these bytes, whose client then waits, or leaves. */
async function raw(port: number, bytes: string, then: 'write' | 'end' = 'write'): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  let all = ''
  socket.on('data', (chunk: Buffer) => {
    all += chunk.toString()
  })
  socket.on('error', () => {})
  socket[then](bytes)
  await once(socket, 'close')
  return all
}

/** Every page of the sidecar's own, on all of its ports. */
async function allPages({ origin, adminUrl, proxy }: Sidecar): Promise<string> {
  const urls = [`${origin}/health`, `${origin}/v1/stats?q=${query}`, `http://127.0.0.1:${proxy.controlPort}/status?q=${query}`]
  const headers = { authorization: `Bearer ${clientKey}` }
  const own = await Promise.all(urls.map(async (url) => (await fetch(url, { headers })).text()))
  assert.match(own[2] ?? '', /"credentials":/)
  return `${own.join('\n')}\n${await adminPages(adminUrl)}`
}

/** Every page of the admin port. */
async function adminPages(adminUrl: string): Promise<string> {
  const paths = ['/metrics', '/livez', '/readyz', '/startupz', '/stats', '/config', '/', `/?q=${query}`]
  return (await Promise.all(paths.map(async (path) => (await fetch(adminUrl + path)).text()))).join('\n')
}

interface Scene {
  readonly upstream?: fake.Step | string
  readonly document?: Document
  readonly own?: Document
  readonly act?: (sidecar: Sidecar) => Promise<string>
}

const { ca, server } = fake.testCertificates()
const head = `POST /v1/chat/completions?q=${query} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${clientKey}\r\n`

/** For every kind of failure that can be reached with a config and sockets: how to reach it. */
const scenes: Readonly<Record<string, Scene | ((t: TestContext) => Promise<Scene>)>> = {
  complete: { upstream: fake.chat('hello') },
  not_found: { act: (sidecar) => call(sidecar.origin, `/other/${key.length}`) },
  bad_request: {
    act: async ({ port }) =>
      (await raw(port, `${head}transfer-encoding: gzip, chunked\r\n\r\n`)) + (await raw(port, `${clientKey} ${prompt}\r\n\r\n`)),
  },
  expectation_failed: { act: ({ port }) => raw(port, `${head}expect: ${prompt}\r\nconnection: close\r\n\r\n`) },
  client_timeout: {
    document: { timeouts: { clientBody: '100ms' } },
    act: ({ port }) => raw(port, `${head}content-length: 99\r\n\r\n${prompt}`),
  },
  client_gone: { upstream: fake.stall(), act: ({ port }) => raw(port, `${head}content-length: 2\r\n\r\n{}`, 'end') },
  header_too_large: { act: ({ port }) => raw(port, `${head}x: ${prompt.repeat(2_000)}\r\n\r\n`) },
  body_too_large: { document: { limits: { jsonBody: '10B' } } },
  unauthorized: { document: { clients: [{ name: 'a', sha256: hash('sha256', 'another') }] } },
  no_credential: { document: { credentials: { other: { env: 'NOT_SET' } } }, own: { credential: 'other' } },
  no_upstream: { own: { models: ['another'] } },
  proxy_overloaded: {
    document: { limits: { inFlight: 1 } },
    upstream: fake.stall(),
    // One of them waits until the end.
    act: ({ url }) => Promise.race([1, 2].map(() => call(url, '/chat/completions').catch(() => ''))),
  },
  dns_failed: { upstream: 'http://model.invalid' },
  connect_failed: async () => ({ upstream: await fake.deadUpstream() }),
  connect_timeout: async (t) => ({
    upstream: (await fake.blackhole(t)).url.replace('http:', 'https:'),
    document: { timeouts: { connect: '100ms' } },
  }),
  tls_failed: async (t) => ({ upstream: (await fake.provider(t, [], { tls: { cert: server.cert, key: server.key } })).url }),
  egress_failed: async (t) => {
    const proxy = await egressProxy(t, { login: 'someone:else' })
    return {
      upstream: 'https://model.example',
      document: { network: { httpsProxy: proxy.url.replace('//', `//me:${login}@`), ca: ca.certPath } },
    }
  },
  first_event_timeout: {
    upstream: fake.stallAfterHead(),
    document: { timeouts: { firstEvent: '100ms' } },
    act: (s) => call(s.url, '/chat/completions', stream),
  },
  idle_timeout: {
    upstream: fake.stallAfter({ n: 1 }),
    document: { timeouts: { idle: '100ms' } },
    act: (s) => call(s.url, '/chat/completions', stream),
  },
  total_timeout: { upstream: fake.stall(), document: { timeouts: { total: '100ms' } } },
  pool_timeout: {
    upstream: fake.stall(),
    document: { timeouts: { pool: '100ms', total: '1s' } },
    own: { connections: 1 },
    act: async ({ url }) => (await Promise.all([call(url, '/chat/completions'), call(url, '/chat/completions')])).join('\n'),
  },
  write_timeout: {
    upstream: fake.deaf(),
    document: { timeouts: { write: '150ms' } },
    act: ({ url }) => call(url, '/embeddings', { body: JSON.stringify({ input: prompt.repeat(800_000) }) }),
  },
  no_reply: { upstream: fake.hangUp() },
  bad_reply: { upstream: fake.garbage() },
  reply_cut: { upstream: fake.cutAfter({ n: 1 }), act: (s) => call(s.url, '/chat/completions', stream) },
}

test('every kind of failure has its scene, but those that only a shutdown, a defect or a race leads to', () => {
  const elsewhere = ['draining', 'internal', 'stale_connection']
  assert.deepEqual(Object.keys(kinds).toSorted(), [...Object.keys(scenes), ...elsewhere].filter((kind) => kind !== 'complete').toSorted())
})

suite('no answer, log line, metric or page holds a key, a prompt or a query', { concurrency: 4 }, () => {
  for (const [kind, scene] of Object.entries(scenes)) {
    test(kind, async (t) => {
      const { upstream = fake.answers(200), document = {}, own = {}, act } = typeof scene === 'function' ? await scene(t) : scene
      const url = typeof upstream === 'string' ? upstream : (await fake.provider(t, upstream)).url
      const sidecar = await startSidecar(
        t,
        url,
        {
          log: { level: 'trace' },
          control: { off: false, port: 0 },
          ...document,
          credentials: { main: { env: 'THE_KEY' }, ...(document['credentials'] as object) },
        },
        { credential: 'main', ...own },
        { THE_KEY: key },
      )
      const told =
        act === undefined ? (await call(sidecar.url, '/chat/completions')) + (await call(sidecar.url, '/messages')) : await act(sidecar)
      const pages = await allPages(sidecar)
      await sidecar.proxy.close()
      isClean(told, 'an answer')
      isClean(sidecar.log(), 'the log')
      isClean(pages, 'a page')
      const everything = told + sidecar.log() + pages
      assert.ok(everything.includes(kind), `the scene does not lead to ${kind}: ${told} ${sidecar.log()}`)
    })
  }
})

test('nor does any after an upgrade to a WebSocket, carried or not', async (t) => {
  const upgrade =
    `${head.replace('POST /v1/chat/completions', 'GET /v1/realtime')}cookie: ${clientKey}\r\nconnection: upgrade\r\nupgrade: websocket\r\n` +
    `sec-websocket-version: 13\r\nsec-websocket-key: ${btoa('0123456789abcdef')}\r\n` +
    `sec-websocket-protocol: realtime, openai-insecure-api-key.${clientKey}\r\n\r\n`
  const carries = await fake.rawUpstream(t, (socket) => {
    socket.end('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-protocol: realtime\r\n\r\n')
  })
  for (const [url, status] of [[carries.url, 101] as const, [await fake.deadUpstream(), 502] as const]) {
    const control = { off: false, port: 0 }
    const sidecar = await startSidecar(t, url, { log: { level: 'trace' }, control, credentials: { fake: { value: key } } })
    const told = await raw(sidecar.port, upgrade)
    assert.match(told, new RegExp(`^HTTP/1.1 ${status} `))
    const line = await sidecar.callLine(0)
    assert.equal(line['status'], status)
    isClean(told + (await allPages(sidecar)) + sidecar.log(), 'what is told of an upgrade')
  }
})

/** The program itself, with everything it has said. */
function run(t: TestContext, config: string, env: Record<string, string> = {}, ...nodeArgs: string[]) {
  const main = join(import.meta.dirname, '../../sidecar/main.ts')
  const child: ChildProcess = spawn(process.execPath, [...nodeArgs, main, 'proxy', '--config', config], {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  t.after(() => child.kill('SIGKILL'))
  let said = ''
  const waiting = new Set<() => void>()
  for (const output of [child.stdout, child.stderr]) {
    output?.on('data', (chunk: Buffer) => {
      said += chunk.toString()
      for (const look of waiting) look()
    })
  }
  const ended = once(child, 'close').then(([code]) => code as number | null)
  const heard = (pattern: RegExp): Promise<RegExpExecArray> =>
    new Promise((done, fail) => {
      const look = (): void => {
        const found = pattern.exec(said)
        if (found !== null) done(found)
      }
      waiting.add(look)
      look()
      void ended.then(() => {
        fail(new Error(`it ended without ${String(pattern)}: ${said}`))
      })
    })
  return { child, ended, heard, said: () => said }
}

const ofProcess = (pid: number | undefined, file: string): string => readFileSync(`/proc/${pid}/${file}`, 'utf8')

/** A child belongs to the thread that started it. */
const childrenOf = (pid: number | undefined): string =>
  readdirSync(`/proc/${pid}/task`)
    .map((thread) => ofProcess(pid, `task/${thread}/children`))
    .join('')

/** Tells its title and of each child that it starts, however short that lives; a signal makes it crash. */
const talkative = `data:text/javascript,
  import { subscribe } from 'node:diagnostics_channel';
  subscribe('child_process', () => { console.error('a child was started') });
  process.on('SIGUSR2', () => { console.error('the title is', process.title); throw new Error('a crash') })`

suite('the program', { skip: process.platform !== 'linux' && 'looks into /proc', concurrency: true }, () => {
  for (const source of ['file', 'env', 'value']) {
    test(`with its key in ${source} tells it to nobody, not even in a crash`, async (t) => {
      const upstream = await fake.provider(t, [fake.chat('hello'), fake.hangUp(), fake.hangUp()])
      const place = folder(t)
      const config = join(place, 'outrider.json')
      writeFileSync(join(place, 'key'), key)
      const credential = { file: { file: join(place, 'key') }, env: { env: 'THE_KEY' }, value: { value: key } }[source]
      const document = {
        listen: { port: 0 },
        admin: { host: '127.0.0.1', port: 0 },
        control: { port: 0 },
        log: { level: 'trace' },
        upstreams: [{ name: 'fake', url: `${upstream.url}/v1`, credential: 'main' }],
        retry: { attempts: 1 },
        credentials: { main: credential },
      }
      writeFileSync(config, JSON.stringify(document))
      const { child, ended, heard, said } = run(t, config, source === 'env' ? { THE_KEY: key } : {}, '--import', talkative)
      const [, port, adminPort] = await heard(/listening on 127\.0\.0\.1:(\d+).*admin port (\d+)/)
      const told = [
        await call(`http://127.0.0.1:${port}/v1`, '/chat/completions'),
        await call(`http://127.0.0.1:${port}/v1`, '/chat/completions'),
      ]
      assert.match(told.join(), /hello.*no_reply/s)
      assert.equal(upstream.seen[0]?.headers.authorization, `Bearer ${key}`)
      isClean(told.join('\n') + (await adminPages(`http://127.0.0.1:${adminPort}`)), 'an answer')
      isClean(ofProcess(child.pid, 'cmdline') + ofProcess(child.pid, 'comm'), 'the process list')
      assert.equal(ofProcess(child.pid, 'environ').includes(key), source === 'env')
      assert.equal(childrenOf(child.pid), '', 'there are no children that could inherit something')
      child.kill('SIGUSR2')
      assert.equal(await ended, 1)
      assert.match(said(), /^the title is .*a crash/ms)
      assert.doesNotMatch(said(), /^a child was started$/m)
      isClean(said(), 'the output')
    })
  }

  test('a config that is refused is refused without a word of the key, wherever it was put', async (t) => {
    const place = folder(t)
    const upstream = '  - { name: a, url: "https://api.example/v1"'
    const configs = [
      `upstreams:\n${upstream}, apiKey: ${key} }\n`,
      `upstreams:\n${upstream}, credential: ${key} }\n`,
      `upstreams:\n  - { name: ${key}_, url: "https://me:${key}@api.example/v1" }\n`,
      `upstreams:\n${upstream} }\ncredentials:\n  ${key}: { value: 1 }\n  b: ${key}\n`,
      `upstreams:\n${upstream} }\ncredentials: { a: { value: "${key} }\n`,
      `upstreams:\n${upstream} }\nnetwork: { httpsProxy: "ftp://me:${login}@proxy" }\n`,
    ]
    for (const [index, text] of configs.entries()) {
      const file = join(place, `${index}.yaml`)
      writeFileSync(file, text)
      const { ended, said } = run(t, file)
      assert.equal(await ended, 64, said())
      isClean(said(), `the refusal of ${index}`)
    }
  })
})
