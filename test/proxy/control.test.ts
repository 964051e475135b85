import assert from 'node:assert/strict'
import { rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { once } from 'node:events'
import { test, type TestContext } from 'node:test'
import { chat, paced, provider } from '../fixtures/provider.ts'
import { rawClient, repliesIn, type RawReply } from '../fixtures/rawClient.ts'
import { runOutrider, tempFile } from '../fixtures/runOutrider.ts'
import { startSidecar, testKey, type Document, type Sidecar } from '../fixtures/startSidecar.ts'

async function controlled(t: TestContext, upstreamUrl: string, control: Document = {}): Promise<{ sidecar: Sidecar; port: number }> {
  const sidecar = await startSidecar(t, upstreamUrl, { control: { off: false, port: 0, ...control } })
  const port = sidecar.proxy.controlPort
  assert.ok(port !== undefined)
  return { sidecar, port }
}

async function ask(t: TestContext, port: number, lines: readonly string[], request = 'GET /status', from = '127.0.0.1'): Promise<RawReply> {
  const client = await rawClient(t, port, from)
  client.send([`${request} HTTP/1.1`, ...lines, 'connection: close', '', ''].join('\r\n'))
  const [reply] = repliesIn(await client.closed)
  assert.ok(reply !== undefined)
  return reply
}

test('the status tells all of /v1/stats and /health, what waits, and the config with its hash and without its keys', async (t) => {
  const stream = paced()
  const upstream = await provider(t, stream)
  const { sidecar, port } = await controlled(t, upstream.url)
  const streaming = fetch(`${sidecar.url}/chat/completions`, { method: 'POST', body: '{"stream":true}' })
  await stream.send({ choices: [] })
  const reply = await ask(t, port, [`host: localhost:${port}`])
  assert.equal(reply.status, 200)
  assert.equal(reply.header('content-type'), 'application/json')
  assert.equal(reply.header('cache-control'), 'no-store')
  assert.equal(reply.body.includes(testKey), false)
  const status = JSON.parse(reply.body) as Record<string, unknown>
  const stats = (await (await fetch(`${sidecar.url}/stats`)).json()) as Record<string, unknown>
  for (const name of Object.keys(stats)) assert.ok(name in status, name)
  assert.deepEqual(status['calls'], { total: 1, in_flight: 1 })
  assert.deepEqual((status['health'] as { status: string }).status, 'healthy')
  assert.ok(Number(status['alarms']) > 0)
  assert.deepEqual(status['listening'], { data: sidecar.proxy.addresses, admin: sidecar.proxy.adminPort, control: port })
  const [first] = status['upstreams'] as { connections: unknown }[]
  assert.deepEqual(first?.connections, { open: 1, busy: 1, waiting: 0 })
  const config = status['config'] as {
    hash: string
    reloads: unknown
    last_reload_errors: unknown
    document: { credentials: unknown; timeouts: { total: number } }
  }
  const { hash } = config
  assert.match(hash, /^[0-9a-f]{12}$/)
  const metrics = await (await fetch(`http://127.0.0.1:${sidecar.proxy.adminPort}/metrics`)).text()
  assert.ok(metrics.includes(`outrider_config_info{hash="${hash}"} 1`), 'the same hash in both places')
  assert.deepEqual([config.reloads, config.last_reload_errors], [{ applied: 0, unchanged: 0, refused: 0 }, []])
  assert.deepEqual(config.document.credentials, { fake: { value: '***' } })
  assert.equal(config.document.timeouts.total, 600_000)
  await stream.send('[DONE]')
  await stream.end()
  await (await streaming).text()
})

test('it is reached by each name of the loopback, on both of its addresses, and no other name', async (t) => {
  const upstream = await provider(t, [])
  const { port } = await controlled(t, upstream.url)
  for (const host of [`localhost:${port}`, `127.0.0.1:${port}`, `[::1]:${port}`, `LOCALHOST:${port}`]) {
    assert.equal((await ask(t, port, [`host: ${host}`])).status, 200, host)
  }
  const six = await ask(t, port, [`host: [::1]:${port}`], 'GET /status', '::1').catch((err: NodeJS.ErrnoException) => {
    if (err.code === 'EADDRNOTAVAIL') return undefined
    throw err
  })
  assert.equal(six?.status ?? 200, 200)
  for (const host of [
    'localhost',
    `localhost:${port + 1}`,
    `evil.example:${port}`,
    `localhost.evil.example:${port}`,
    `127.0.0.2:${port}`,
    '',
  ]) {
    const reply = await ask(t, port, [`host: ${host}`])
    assert.equal(reply.status, 403, host)
    assert.equal(reply.body.includes('upstreams'), false)
  }
  assert.equal((await ask(t, port, [`host: localhost:${port}`, 'host: evil.example'])).status, 403)
})

test('pages of another origin or site get nothing, a page of its own does', async (t) => {
  const upstream = await provider(t, [])
  const { port } = await controlled(t, upstream.url)
  const host = `host: localhost:${port}`
  for (const origin of ['https://evil.example', 'null', `http://localhost:${port + 1}`, `https://localhost:${port}`, 'http://localhost']) {
    assert.equal((await ask(t, port, [host, `origin: ${origin}`])).status, 403, origin)
  }
  for (const site of ['cross-site', 'same-site']) assert.equal((await ask(t, port, [host, `sec-fetch-site: ${site}`])).status, 403, site)
  assert.equal((await ask(t, port, [host, `origin: http://localhost:${port}`, 'sec-fetch-site: same-origin'])).status, 200)
  const typed = await ask(t, port, [host, 'sec-fetch-site: none'])
  assert.equal(typed.status, 200)
  assert.equal(typed.header('access-control-allow-origin'), undefined)
  assert.equal(typed.header('x-content-type-options'), 'nosniff')
  assert.equal(typed.header('cross-origin-resource-policy'), 'same-origin')
})

test('it is read-only: another method is 405, another path 404, and HEAD has no body', async (t) => {
  const upstream = await provider(t, [])
  const { port } = await controlled(t, upstream.url)
  const host = `host: localhost:${port}`
  for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS']) {
    const reply = await ask(t, port, [host], `${method} /status`)
    assert.deepEqual([reply.status, reply.header('allow')], [405, 'GET, HEAD'], method)
  }
  assert.equal((await ask(t, port, [host], 'GET /')).status, 404)
  assert.equal((await ask(t, port, [host], 'GET /v1/models')).status, 404)
  const client = await rawClient(t, port)
  client.send(`HEAD /status HTTP/1.1\r\n${host}\r\nconnection: close\r\n\r\n`)
  const text = await client.closed
  assert.match(text, /^HTTP\/1\.1 200 /)
  assert.ok(text.endsWith('\r\n\r\n'))
})

test('a change needs the token of the file as it is now, and there is none to be made yet', async (t) => {
  const upstream = await provider(t, [])
  const tokenFile = tempFile(t, 'token', 'first\n')
  const { port } = await controlled(t, upstream.url, { tokenFile })
  const post = async (...lines: string[]): Promise<number> =>
    (await ask(t, port, [`host: localhost:${port}`, ...lines], 'POST /status')).status
  assert.equal(await post(), 401)
  assert.equal(await post('authorization: Bearer wrong'), 401)
  assert.equal(await post('authorization: Bearer first'), 405)
  assert.equal(await post('authorization: Bearer first', 'origin: https://evil.example'), 403)
  writeFileSync(tokenFile, 'second')
  assert.equal(await post('authorization: Bearer first'), 401)
  assert.equal(await post('authorization: Bearer second'), 405)
  writeFileSync(tokenFile, '')
  assert.equal(await post('authorization: Bearer '), 401)
  // Reading needs none.
  assert.equal((await ask(t, port, [`host: localhost:${port}`])).status, 200)
})

test('a token that cannot be had by the sidecar itself is said to be its fault, and nothing of the folder is told', async (t) => {
  const upstream = await provider(t, [])
  const tokenFile = tempFile(t, 'token', ' \n')
  const { port } = await controlled(t, upstream.url, { tokenFile })
  const post = (): ReturnType<typeof ask> => ask(t, port, [`host: localhost:${port}`, 'authorization: Bearer first'], 'POST /status')
  const empty = await post()
  assert.deepEqual([empty.status, empty.body], [401, 'Nothing can be changed: the file of control.tokenFile is empty.\n'])
  writeFileSync(`${tokenFile}.other`, 'x')
  rmSync(tokenFile)
  const missing = await post()
  assert.deepEqual([missing.status, missing.body], [401, 'Nothing can be changed: the file of control.tokenFile does not exist.\n'])
})

// Nobody knew of a Secret that was not mounted before the first change was asked for.
test('a token that is missing is told at the start, and one that comes later counts without another', async (t) => {
  const upstream = await provider(t, [])
  const tokenFile = tempFile(t, 'token', 'first\n')
  rmSync(tokenFile)
  const { port, sidecar } = await controlled(t, upstream.url, { tokenFile })
  await sidecar.logged('control.tokenFile')
  const [line = ''] = sidecar.log().match(/.*control\.tokenFile.*/) ?? []
  const { level, msg } = JSON.parse(line) as { level: string; msg: string }
  assert.equal(level, 'warn')
  assert.match(msg, /^control\.tokenFile: .*token does not exist.*Nothing can be changed .* until it holds the token/)
  const post = (): ReturnType<typeof ask> => ask(t, port, [`host: localhost:${port}`, 'authorization: Bearer first'], 'POST /status')
  assert.equal((await post()).status, 401)
  writeFileSync(tokenFile, 'first\n')
  assert.equal((await post()).status, 405)
})

test('nothing is told of a token that is there', async (t) => {
  const upstream = await provider(t, [])
  const tokenFile = tempFile(t, 'token', 'first\n')
  const { sidecar } = await controlled(t, upstream.url, { tokenFile })
  assert.doesNotMatch(sidecar.log(), /tokenFile/)
})

test('several words are no token, for no header could show them', async (t) => {
  const upstream = await provider(t, [])
  const { port } = await controlled(t, upstream.url, { tokenFile: tempFile(t, 'token', 'first\nsecond\n') })
  const { body } = await ask(t, port, [`host: localhost:${port}`, 'authorization: Bearer first'], 'POST /status')
  assert.equal(body, 'Nothing can be changed: the file of control.tokenFile holds no token: that is one word of plain ASCII.\n')
})

test('a port that is taken is said, and calls are served all the same', async (t) => {
  const taken = createServer().listen(0, '127.0.0.1')
  t.after(() => taken.close())
  await once(taken, 'listening')
  const { port } = taken.address() as { port: number }
  const upstream = await provider(t, chat('hi'))
  const sidecar = await startSidecar(t, upstream.url, { control: { off: false, port } })
  await sidecar.logged(`Port ${port} is taken by `)
  assert.match(sidecar.log(), /is taken by [^:]+: choose another with control\.port\./)
  assert.equal(sidecar.proxy.controlPort, undefined)
  const reply = await fetch(`${sidecar.url}/chat/completions`, { method: 'POST', body: '{"model":"m"}' })
  assert.equal(reply.status, 200)
  await reply.text()
})

test('off means that nothing listens', async (t) => {
  const upstream = await provider(t, [])
  const sidecar = await startSidecar(t, upstream.url, { control: { off: true } })
  assert.equal(sidecar.proxy.controlPort, undefined)
  assert.doesNotMatch(sidecar.log(), /control port/)
})

test('it answers while calls are drained, says so, and is gone when the sidecar is', async (t) => {
  const stream = paced()
  const upstream = await provider(t, stream)
  const { sidecar, port } = await controlled(t, upstream.url)
  const streaming = fetch(`${sidecar.url}/chat/completions`, { method: 'POST', body: '{"stream":true}' })
  await stream.send({ choices: [] })
  const drained = sidecar.proxy.drain()
  const status = JSON.parse((await ask(t, port, [`host: localhost:${port}`])).body) as Record<string, unknown>
  assert.equal(status['state'], 'draining')
  await stream.send('[DONE]')
  await stream.end()
  await (await streaming).text()
  await drained
  await assert.rejects(rawClient(t, port), { code: 'ECONNREFUSED' })
})

test('told to quit where that is allowed, the process ends well, once the call under way is whole', async (t) => {
  const stream = paced()
  const upstream = await provider(t, stream)
  const outrider = await runOutrider(t, upstream.url, { control: { off: false, port: 0, quit: true } })
  const [, port = ''] = await outrider.printed(/control port (\d+)/)
  const streaming = fetch(`${outrider.url}/chat/completions`, { method: 'POST', body: '{"stream":true}' })
  await stream.send({ choices: [] })
  const reply = await ask(t, Number(port), [`host: localhost:${port}`, 'content-length: 0'], 'POST /control/quit')
  assert.equal(reply.status, 202)
  await outrider.printed('told to quit by a program of the pod')
  await stream.send('[DONE]')
  await stream.end()
  assert.match(await (await streaming).text(), /\[DONE\]/)
  assert.deepEqual(await outrider.exit, { code: 0, signal: null })
})

test('nobody ends the process where that is not allowed, and no page of another origin where it is', async (t) => {
  const upstream = await provider(t, [])
  const { port } = await controlled(t, upstream.url)
  const quit = 'POST /control/quit'
  assert.equal((await ask(t, port, [`host: localhost:${port}`, 'content-length: 0'], quit)).status, 405)
  const open = await controlled(t, upstream.url, { quit: true })
  const from = (origin: string) => [`host: localhost:${open.port}`, `origin: ${origin}`, 'content-length: 0']
  assert.equal((await ask(t, open.port, from('http://example.com'), quit)).status, 403)
  assert.equal((await ask(t, open.port, [`host: localhost:${open.port}`], 'GET /control/quit')).status, 404)
  assert.doesNotMatch(open.sidecar.log(), /told to quit/)
})
