import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import { createServer as createTcpServer, type AddressInfo, type Server } from 'node:net'
import { test, type TestContext } from 'node:test'
import { program, runOutrider } from '../fixtures/runOutrider.ts'
import { provider, stall } from '../fixtures/provider.ts'

async function health(t: TestContext, ...args: string[]): Promise<{ code: number | null; out: string; err: string }> {
  const running = program(t, ['health', ...args])
  const { code } = await running.exit
  return { code, out: running.stdout(), err: running.stderr() }
}

async function portOf(t: TestContext, server: Server): Promise<string> {
  server.listen(0, '127.0.0.1')
  t.after(() => server.close())
  await once(server, 'listening')
  return String((server.address() as AddressInfo).port)
}

const answering = (t: TestContext, listener: RequestListener): Promise<string> => portOf(t, createServer(listener))

test('a sidecar that serves is ready: 0 and one line', async (t) => {
  const outrider = await runOutrider(t, 'http://127.0.0.1:9')
  const { port } = new URL(outrider.adminUrl)
  assert.deepEqual(await health(t, '--port', port), { code: 0, out: `http://localhost:${port}/readyz says ok\n`, err: '' })
  assert.deepEqual(await health(t, '--url', outrider.adminUrl), { code: 0, out: `${outrider.adminUrl}/readyz says ok\n`, err: '' })
  assert.deepEqual(await health(t, '--url', `${outrider.adminUrl}/`, '--live'), {
    code: 0,
    out: `${outrider.adminUrl}/livez says ok\n`,
    err: '',
  })
  assert.equal((await health(t, '--url', `${outrider.adminUrl}/readyz`)).code, 0)
})

test('a sidecar that drains is alive, and not ready', async (t) => {
  const llm = await provider(t, [stall()])
  const outrider = await runOutrider(t, llm.url)
  const call = fetch(`${outrider.url}/chat/completions`, { method: 'POST', body: '{}' }).catch(() => {})
  await llm.request(0)
  outrider.child.kill('SIGTERM')
  await outrider.printed('told to stop')
  const ready = await health(t, '--url', outrider.adminUrl)
  assert.deepEqual(ready, {
    code: 1,
    out: '',
    err: `${outrider.adminUrl}/readyz answers 503: shutting down: calls in flight are being finished\n`,
  })
  assert.equal((await health(t, '--url', outrider.adminUrl, '--live')).code, 0)
  outrider.child.kill('SIGTERM')
  await Promise.all([outrider.exit, call])
})

test('where nobody listens it says so, and what to look at', async (t) => {
  const closed = createTcpServer()
  const port = await portOf(t, closed)
  closed.close()
  await once(closed, 'close')
  const { code, out, err } = await health(t, '--port', port)
  assert.deepEqual([code, out], [1, ''])
  assert.match(err, /^http:\/\/localhost:\d+\/readyz cannot be asked: nobody listens there\. Is a sidecar running, .*--port.*\n$/)
})

test('what answers there but is no sidecar is not taken for one', async (t) => {
  const other = await answering(t, (_req, res) => res.writeHead(404).end('<html>\u001b[2J\nnothing here'))
  assert.deepEqual(await health(t, '--port', other), {
    code: 1,
    out: '',
    err: `http://localhost:${other}/readyz answers 404: <html>?[2J. Is a sidecar running, and is this the port of its probes (--port, admin.port in its config)?\n`,
  })
  const noHttp = await portOf(
    t,
    createTcpServer((socket) => socket.on('error', () => {}).end('SSH-2.0-x\r\n')),
  )
  assert.match((await health(t, '--port', noHttp)).err, /does not speak HTTP/)
  const cut = await portOf(
    t,
    createTcpServer((socket) => socket.on('error', () => {}).destroy()),
  )
  assert.equal((await health(t, '--port', cut)).code, 1)
})

test('an answer without end is not waited for', async (t) => {
  const endless = await answering(t, (_req, res) => {
    res.write('x'.repeat(1000))
  })
  const { code, out } = await health(t, '--port', endless)
  assert.deepEqual([code, out.length < 300], [0, true])
})

test('silence is bounded', async (t) => {
  const silent = await portOf(
    t,
    createTcpServer((socket) => socket.on('error', () => {})),
  )
  const { code, err } = await health(t, '--port', silent)
  assert.deepEqual([code, err], [1, `http://localhost:${silent}/readyz gives no answer within 4 s.\n`])
})
