import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createSecureServer, type ServerHttp2Stream } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test, type TestContext } from 'node:test'
import { WebSocket, WebSocketServer } from 'ws'
import { bundle } from './bench/bundle.ts'
import { chat, provider, testCertificates } from './fixtures/provider.ts'
import { runOutrider } from './fixtures/runOutrider.ts'

const folder = mkdtempSync(join(tmpdir(), 'outrider-bundle-'))
const file = join(folder, 'main.cjs')
before(() => bundle(folder))
after(() => {
  rmSync(folder, { recursive: true, force: true })
})

const post = (url: string, body: object): Promise<Response> =>
  fetch(`${url}/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(20_000),
  })

test('the bundle serves a call and a stream, and ends in order', async (t) => {
  const upstream = await provider(t, [chat('whole'), chat('in events')])
  const run = await runOutrider(t, upstream.url, {}, { file })
  assert.match(await (await post(run.url, { model: 'm' })).text(), /whole/)
  assert.match(await (await post(run.url, { model: 'm', stream: true })).text(), /data: \[DONE\]\n\n$/)
  run.child.kill('SIGTERM')
  assert.deepEqual(await run.exit, { code: 0, signal: null })
})

test('what the bundle loads late is there when it is needed: HTTP/2, WebSockets, the words of a refusal', async (t) => {
  const { ca, server } = testCertificates()
  const h2 = createSecureServer({ cert: server.cert, key: server.key })
  h2.on('stream', (stream: ServerHttp2Stream) => {
    stream.respond({ ':status': 200, 'content-type': 'application/json' })
    stream.end('{"over":2}')
  })
  const upstreams = [{ name: 'fake', url: `${await listening(t, h2)}/v1`, credential: 'fake', http2: true }]
  const run = await runOutrider(t, '', { upstreams, network: { ca: ca.certPath } }, { file })
  assert.equal(await (await post(run.url, { model: 'm' })).text(), '{"over":2}')

  const sockets = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  await once(sockets, 'listening')
  t.after(() => {
    sockets.close()
  })
  sockets.on('connection', (socket) => {
    socket.send('hello')
  })
  const other = await runOutrider(t, `http://127.0.0.1:${(sockets.address() as AddressInfo).port}`, {}, { file })
  const socket = new WebSocket(`${other.url.replace('http', 'ws')}/realtime`)
  const [heard] = (await once(socket, 'message')) as [Buffer]
  assert.equal(heard.toString(), 'hello')
  socket.close()
  await once(socket, 'close')
})

async function listening(t: TestContext, server: ReturnType<typeof createSecureServer>): Promise<string> {
  const open = new Set<{ destroy: () => void }>()
  server.on('connection', (socket: { destroy: () => void }) => open.add(socket))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    for (const socket of open) socket.destroy()
    server.close()
  })
  return `https://127.0.0.1:${(server.address() as AddressInfo).port}`
}
