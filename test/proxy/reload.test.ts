import assert from 'node:assert/strict'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite, test, type TestContext } from 'node:test'
import { connect } from 'node:tls'
import { WebSocket } from 'ws'
import { folder, mountedSecret, replaceFile } from '../fixtures/mountedSecret.ts'
import { answers, chat, paced, provider } from '../fixtures/provider.ts'
import { testCertificates } from '../fixtures/providerTls.ts'
import { rawClient } from '../fixtures/rawClient.ts'
import { runOutrider, type Outrider } from '../fixtures/runOutrider.ts'
import { testKey, type Document } from '../fixtures/startSidecar.ts'
import { webSocketUpstream } from '../fixtures/websocket.ts'
import { parseExposition } from '../observe/exposition.ts'

const ask = (outrider: Outrider, more: object = {}): Promise<Response> =>
  fetch(`${outrider.url}/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'm', messages: [], ...more }),
    signal: AbortSignal.timeout(20_000),
  })

const status = async (outrider: Outrider, more: object = {}): Promise<number> => {
  const reply = await ask(outrider, more)
  await reply.arrayBuffer()
  return reply.status
}

async function metric(outrider: Outrider, name: string): Promise<Record<string, number>> {
  const reply = await fetch(`${outrider.adminUrl}/metrics`)
  const series = parseExposition(await reply.text()).filter((one) => one.name === name)
  return Object.fromEntries(series.map(({ labels, value }) => [Object.values(labels).join(), value]))
}

interface Reloading extends Outrider {
  /** Puts another config in place, and resolves when the log says `text`. */
  readonly change: (document: Document, text: string | RegExp) => Promise<void>
}

/** A sidecar whose config is a file that can be replaced. */
async function reloading(t: TestContext, upstreamUrl: string, document: Document = {}): Promise<Reloading> {
  const file = join(folder(t), 'outrider.json')
  const put = (text: string): string => {
    writeFileSync(file, text)
    return file
  }
  const outrider = await runOutrider(t, upstreamUrl, document, { put })
  const change = async (next: Document, text: string | RegExp): Promise<void> => {
    replaceFile(file, outrider.configText(next))
    await outrider.printed(text)
  }
  return { ...outrider, change }
}

const lastMessage = (outrider: Outrider): unknown => outrider.lines().findLast(({ msg }) => msg !== 'call')?.['msg']

suite('however a config is replaced, it is in use soon and what changed is told', () => {
  const ways: Record<string, (t: TestContext, first: string) => { file: string; replace: (text: string) => void }> = {
    'written in place': (t, first) => {
      const file = join(folder(t), 'outrider.json')
      writeFileSync(file, first)
      return { file, replace: (text) => writeFileSync(file, text) }
    },
    'renamed over': (t, first) => {
      const file = join(folder(t), 'outrider.json')
      writeFileSync(file, first)
      return { file, replace: (text) => replaceFile(file, text) }
    },
    'mounted by Kubernetes': (t, first) => {
      const mount = mountedSecret(t, { 'outrider.json': first })
      return { file: mount.file('outrider.json'), replace: (text) => mount.swap({ 'outrider.json': text }) }
    },
  }
  for (const [way, set] of Object.entries(ways)) {
    test(way, async (t) => {
      const upstream = await provider(t, chat('hi'))
      let replace: (text: string) => void = () => {}
      const put = (text: string): string => {
        const made = set(t, text)
        replace = made.replace
        return made.file
      }
      const outrider = await runOutrider(t, upstream.url, {}, { put })
      const large = { pad: 'x'.repeat(2_000) }
      assert.equal(await status(outrider, large), 200)
      for (const [limit, before] of [
        ['1KB', '50MB'],
        ['5KB', '1KB'],
      ] as const) {
        const from = performance.now()
        replace(outrider.configText({ limits: { jsonBody: limit } }))
        await outrider.printed(`"config reloaded: limits.jsonBody: ${before} → ${limit}"`)
        const took = performance.now() - from
        // Two seconds are promised, to be kept on a machine that has time. Where nothing told of the change it would be found after ten.
        assert.ok(took < 8_000, `${took} ms`)
        assert.equal(await status(outrider, large), limit === '1KB' ? 413 : 200)
      }
    })
  }
})

test('a bad config is refused whole and told once with all that is wrong, and the last good one stays', async (t) => {
  const upstream = await provider(t, chat('hi'))
  const outrider = await reloading(t, upstream.url)
  const [hash] = Object.keys(await metric(outrider, 'outrider_config_info'))
  const lastSuccess = () => metric(outrider, 'outrider_config_last_success_timestamp_seconds')
  const began = await lastSuccess()
  await outrider.change({ timeouts: { totl: '1s' }, limits: { jsonBody: '1B', inFlight: 0 }, log: { level: 'error' } }, 'refused')
  const message = String(lastMessage(outrider))
  assert.match(message, /^the config is refused, the one from before stays in use: .*outrider\.json/)
  assert.match(message, /timeouts\.totl: unknown key; did you mean "total"\?; .*limits\.inFlight: must be/)
  assert.equal(await status(outrider), 200)
  assert.deepEqual(await metric(outrider, 'outrider_config_reload_total'), { applied: 0, unchanged: 0, refused: 1 })
  assert.deepEqual(await lastSuccess(), began)

  // The same mistake in another text is no news; the next line of the log is another's.
  await outrider.change({ timeouts: { totl: '2s' }, limits: { inFlight: 0 } }, '')
  outrider.child.kill('SIGHUP')
  await outrider.printed(/refused[^]*refused/)
  await outrider.change({ limits: { inFlight: 7 } }, 'config reloaded')
  assert.equal(lastMessage(outrider), 'config reloaded: limits.inFlight: 1000 → 7')
  assert.equal(outrider.stdout().split('is refused').length - 1, 2, 'once by itself, once for the signal')
  assert.equal((await metric(outrider, 'outrider_config_reload_total'))['applied'], 1)
  assert.notDeepEqual(Object.keys(await metric(outrider, 'outrider_config_info')), [hash])
  const later = await lastSuccess()
  assert.ok(Number(later['']) > Number(began['']))
  const since = Date.now() / 1_000 - Number(later[''])
  assert.ok(since >= 0 && since < 60, `${since} s`)
})

test('a file that is gone or empty changes nothing', async (t) => {
  const upstream = await provider(t, chat('hi'))
  const mount = mountedSecret(t, {})
  let text = ''
  const put = (first: string): string => {
    mount.swap({ 'outrider.json': (text = first) })
    return mount.file('outrider.json')
  }
  const outrider = await runOutrider(t, upstream.url, {}, { put })
  mount.swap({})
  await outrider.printed(/refused.*does not exist/)
  mount.swap({ 'outrider.json': '' })
  await outrider.printed(/refused.*is empty/)
  assert.equal(await status(outrider), 200)
  mount.swap({ 'outrider.json': text })
  await outrider.printed('it says what is in use already')
})

test('what a running proxy cannot move is refused with the word that it needs a restart, and nothing else is taken', async (t) => {
  const upstream = await provider(t, chat('hi'))
  const outrider = await reloading(t, upstream.url)
  await outrider.change({ listen: { port: 9_999 }, admin: { host: '127.0.0.2' }, limits: { jsonBody: '1B' } }, 'refused')
  const message = String(lastMessage(outrider))
  assert.match(message, /listen\.port: cannot change while the proxy runs \(0 → 9999\): restart it for that; /)
  assert.match(message, /admin\.host: cannot change while the proxy runs \(127\.0\.0\.1 → 127\.0\.0\.2\)/)
  assert.equal(await status(outrider), 200)
})

test('what Outrider answers itself and the status follow a reload; what is known of an unchanged upstream stays', async (t) => {
  const upstream = await provider(t, (exchange) => (exchange.req.url === '/health' ? answers(418) : chat('hi'))(exchange))
  const control = { off: false, port: 0 }
  const corsOf = (origin: string) => ({ cors: { origins: [origin] } })
  const outrider = await reloading(t, upstream.url, { control, ...corsOf('https://b.example') })
  const [, port] = await outrider.printed(/control port (\d+)/)
  const told = async () => (await (await fetch(`http://127.0.0.1:${port}/status`)).json()) as Status
  const preflight = async () => {
    const headers = { origin: 'https://a.example', 'access-control-request-method': 'POST' }
    const reply = await fetch(`${outrider.url}/chat/completions`, { method: 'OPTIONS', headers })
    await reply.arrayBuffer()
    return reply.headers.get('access-control-allow-origin')
  }
  assert.equal(await status(outrider), 200)
  const before = await told()
  assert.deepEqual([before.upstreams[0]?.attempts, before.config.document.timeouts.total], [1, 600_000])
  assert.equal(await preflight(), null)

  await outrider.change(
    { control, ...corsOf('https://a.example'), local: { health: false }, timeouts: { total: '30s' } },
    'config reloaded',
  )
  assert.equal(await preflight(), 'https://a.example')
  assert.equal((await fetch(outrider.url.replace('/v1', '/health'))).status, 418)
  const after = await told()
  assert.notEqual(after.config.hash, before.config.hash)
  assert.deepEqual(Object.keys(await metric(outrider, 'outrider_config_info')), [after.config.hash])
  assert.equal(after.config.document.timeouts.total, 30_000)
  assert.ok((after.upstreams[0]?.attempts ?? 0) >= 1)
  assert.ok(after.uptime_seconds >= before.uptime_seconds)
  assert.deepEqual([after.config.reloads.applied, after.config.last_reload_errors], [1, []])

  await outrider.change({ control: { off: true, port: 9_999 } }, /control\.off: cannot change.*control\.port: cannot change/)
  const refused = await told()
  assert.match(refused.config.last_reload_errors.join(), /control\.off: cannot change while the proxy runs \(false → true\)/)
  assert.deepEqual([refused.config.hash, refused.config.reloads.refused], [after.config.hash, 1])
})

interface Status {
  readonly uptime_seconds: number
  readonly upstreams: readonly { readonly attempts: number }[]
  readonly config: {
    readonly hash: string
    readonly reloads: { readonly applied: number; readonly refused: number }
    readonly last_reload_errors: readonly string[]
    readonly document: { readonly timeouts: { readonly total: number } }
  }
}

test('SIGHUP reads the config again, changed or not', async (t) => {
  const outrider = await reloading(t, 'http://127.0.0.1:9')
  outrider.child.kill('SIGHUP')
  await outrider.printed('it says what is in use already')
  assert.deepEqual(await metric(outrider, 'outrider_config_reload_total'), { applied: 0, unchanged: 1, refused: 0 })
})

test('a stream ends on the upstream it began with; the next call goes to the new one, and then the old one is left', async (t) => {
  const stream = paced()
  const [old, next] = [await provider(t, [stream]), await provider(t, chat('from the new one'))]
  const outrider = await reloading(t, old.url, { timeouts: { upstreamIdle: '10m' } })
  const first = ask(outrider, { stream: true })
  await stream.send({ choices: [{ delta: { content: 'one' } }] })
  const reply = await first
  const { socket } = await stream.started
  const left = once(socket, 'close')
  const upstreams = [{ name: 'next', url: `${next.url}/v1`, credential: 'fake' }]
  await outrider.change({ upstreams, timeouts: { idle: '1s' } }, 'config reloaded')
  const second = await ask(outrider)
  assert.match(await second.text(), /from the new one/)
  assert.equal(second.headers.get('x-outrider-upstream'), 'next')

  await stream.send({ choices: [{ delta: { content: 'two' } }] })
  await stream.send('[DONE]')
  await stream.end()
  assert.match(await reply.text(), /one[^]*two[^]*\[DONE\]/)
  await left
  assert.equal(old.open, 0)
})

test('connections of an unchanged upstream go on through a reload', async (t) => {
  const ports: (number | undefined)[] = []
  const upstream = await provider(t, (exchange) => {
    ports.push(exchange.req.socket.remotePort)
    return chat('hi')(exchange)
  })
  const outrider = await reloading(t, upstream.url)
  assert.equal(await status(outrider), 200)
  await outrider.change({ timeouts: { total: '30s' }, limits: { inFlight: 9 } }, 'config reloaded')
  assert.equal(await status(outrider), 200)
  assert.equal(new Set(ports).size, 1, `from ports ${ports.join()}`)
  await outrider.change(
    { upstreams: [{ name: 'fake', url: `${upstream.url}/v1`, credential: 'fake', connections: 3 }] },
    'connections: 1000 → 3',
  )
  assert.equal(await status(outrider), 200)
  assert.equal(new Set(ports).size, 2)
})

test('a key in the config is changed for the calls from then on and told nowhere', async (t) => {
  const upstream = await provider(t, chat('hi'))
  const outrider = await reloading(t, upstream.url)
  await outrider.change({ credentials: { fake: { value: 'sk-another-8d1f' } } }, 'credentials.fake.value: (a secret) → another')
  assert.equal(await status(outrider), 200)
  assert.equal(upstream.seen[0]?.headers.authorization, 'Bearer sk-another-8d1f')
  assert.doesNotMatch(outrider.stdout() + outrider.stderr(), new RegExp(`8d1f|${testKey}`))
})

test('a config whose key is not there yet is taken when the key has come', async (t) => {
  const upstream = await provider(t, chat('hi'))
  const outrider = await reloading(t, upstream.url)
  const file = join(folder(t), 'key')
  const upstreams = [{ name: 'fake', url: `${upstream.url}/v1`, credential: 'late' }]
  await outrider.change({ upstreams, credentials: { late: { file } } }, /refused.*credentials\.late: .*key does not exist/)
  assert.equal(outrider.stdout().split('does not exist').length, 2, 'told once')
  assert.equal(await status(outrider), 200)
  assert.equal(upstream.seen[0]?.headers.authorization, `Bearer ${testKey}`)
  writeFileSync(file, 'sk-late')
  await outrider.printed('config reloaded')
  assert.equal(await status(outrider), 200)
  assert.equal(upstream.seen[1]?.headers.authorization, 'Bearer sk-late')
})

test('levels of the log, the grace of a drain and the bounds of connections change while it runs', async (t) => {
  const stream = paced()
  let first = true
  const upstream = await provider(t, (exchange) => {
    const step = first ? stream : chat('hi')
    first = false
    return step(exchange)
  })
  const outrider = await reloading(t, upstream.url)
  const streaming = ask(outrider, { stream: true })
  await stream.send({ choices: [] })
  await outrider.change(
    { log: { level: 'warn' }, drain: { grace: '0s' }, limits: { header: '1KiB' }, timeouts: { clientHead: '200ms' } },
    'log.level: info → warn',
  )
  assert.equal(await status(outrider), 200)
  const slow = await rawClient(t, outrider.port)
  slow.send('GET /v1/models HTTP/1.1\r\nhos')
  assert.match(await slow.closed, /^HTTP\/1\.1 408 /)
  const large = await rawClient(t, outrider.port)
  large.send(`GET /v1/models HTTP/1.1\r\nhost: x\r\nx-large: ${'x'.repeat(2_000)}\r\n\r\n`)
  assert.match(await large.closed, /^HTTP\/1\.1 431 /)
  const reply = await streaming
  outrider.child.kill('SIGTERM')
  assert.match(await reply.text(), /event: error\ndata: .*"kind":"draining"/)
  assert.deepEqual(await outrider.exit, { code: 0, signal: null })
  assert.equal(outrider.lines().filter(({ msg, level }) => msg === 'call' && level === 'info').length, 0)
})

test('no call fails while config after config is taken', async (t) => {
  const [one, other] = [await provider(t, chat('hi')), await provider(t, chat('hi'))]
  const outrider = await reloading(t, one.url)
  let going = true
  const caller = async (): Promise<number[]> => {
    const all: number[] = []
    while (going) all.push(await status(outrider))
    return all
  }
  const callers = Array.from({ length: 8 }, caller)
  for (let n = 1; n <= 10; n++) {
    const { url } = n % 2 === 0 ? one : other
    await outrider.change({ upstreams: [{ name: 'fake', url: `${url}/v1`, credential: 'fake', connections: n }] }, `→ ${n}"`)
  }
  going = false
  const all = (await Promise.all(callers)).flat()
  assert.ok(all.length > 20)
  assert.deepEqual(new Set(all), new Set([200]))
})

test('a WebSocket goes on with the upstream it was opened to, and the next one goes to the new upstream', async (t) => {
  const named = (name: string) => webSocketUpstream(t, (socket) => socket.on('message', () => socket.send(name)))
  const [old, next] = [await named('old'), await named('next')]
  const outrider = await reloading(t, old.url)
  const open = async (): Promise<WebSocket> => {
    const socket = new WebSocket(`${outrider.url.replace('http', 'ws')}/realtime`)
    await once(socket, 'open')
    return socket
  }
  const hear = async (socket: WebSocket): Promise<string> => {
    const heard = once(socket, 'message') as Promise<[Buffer]>
    socket.send('who are you?')
    return (await heard)[0].toString()
  }
  const first = await open()
  assert.equal(await hear(first), 'old')
  await outrider.change({ upstreams: [{ name: 'next', url: `${next.url}/v1`, credential: 'fake' }] }, 'config reloaded')
  const second = await open()
  assert.deepEqual([await hear(first), await hear(second)], ['old', 'next'])
  for (const socket of [first, second]) {
    socket.close()
    await once(socket, 'close')
  }
})

test('the certificate of the data port may come from other files after a reload, and bad ones are refused', async (t) => {
  const { server, stranger } = testCertificates()
  const place = folder(t)
  const pair = (name: string, { cert, key }: { cert: string; key: string }) => {
    const files = { cert: join(place, `${name}.crt`), key: join(place, `${name}.key`) }
    writeFileSync(files.cert, cert)
    writeFileSync(files.key, key)
    return files
  }
  const outrider = await reloading(t, 'http://127.0.0.1:9', { listen: { tls: pair('one', server) } })
  const shown = async (): Promise<string> => {
    const socket = connect({ port: outrider.port, host: '127.0.0.1', rejectUnauthorized: false })
    await once(socket, 'secureConnect')
    const { raw } = socket.getPeerCertificate()
    socket.destroy()
    return raw.toString('base64')
  }
  const before = await shown()
  const mixed = { cert: pair('two', stranger).cert, key: pair('one', server).key }
  await outrider.change({ listen: { tls: mixed } }, 'is not the certificate of the key in listen.tls.key')
  assert.equal(await shown(), before)
  await outrider.change(
    { listen: { tls: pair('two', stranger) } },
    /config reloaded: listen\.tls\.cert: \S+one\.crt → \S+two\.crt; listen\.tls\.key: /,
  )
  assert.notEqual(await shown(), before)
})

test('a config that names another file of the token is told of it when it is missing', async (t) => {
  const upstream = await provider(t, [])
  const control = (tokenFile: string): Document => ({ control: { off: false, port: 0, tokenFile } })
  const outrider = await reloading(t, upstream.url, control('/nowhere/first'))
  await outrider.printed('control.tokenFile: /nowhere/first does not exist')
  await outrider.change(control('/nowhere/second'), 'control.tokenFile: /nowhere/second does not exist')
})
