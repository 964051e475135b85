import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, Server } from 'node:net'
import { test, type TestContext } from 'node:test'
import { openAdmin, type Admin } from '../../sidecar/proxy/serve/admin.ts'
import { answers, provider } from '../fixtures/provider.ts'
import { rawClient, repliesIn } from '../fixtures/rawClient.ts'
import { startSidecar } from '../fixtures/startSidecar.ts'
import { parseExposition } from '../observe/exposition.ts'

const plain = 'text/plain; charset=utf-8'

async function anAdmin(t: TestContext, patienceMs: number, text = 'x 1\n'): Promise<Admin> {
  const metrics = { tell: () => Promise.resolve({ text, type: plain }) }
  const admin = await openAdmin({ host: '::', port: 0, metrics, ready: () => true, started: () => true, patienceMs })
  t.after(admin.close)
  return admin
}

test('probes tell of this process only: an upstream that is down takes no pod out of service', async (t) => {
  const upstream = await provider(t, [])
  const sidecar = await startSidecar(t, upstream.url)
  await upstream.close()
  const failed = await fetch(`${sidecar.url}/chat/completions`, { method: 'POST', body: '{}' })
  assert.equal(failed.headers.get('x-outrider-error'), 'connect_failed')
  await failed.text()
  for (const path of ['/livez', '/readyz', '/startupz', '/readyz?verbose']) {
    const reply = await fetch(sidecar.adminUrl + path)
    assert.deepEqual([reply.status, await reply.text()], [200, 'ok\n'], path)
    assert.equal(reply.headers.get('cache-control'), 'no-store')
  }
})

test('metrics are valid to the last line and named as what they are', async (t) => {
  const upstream = await provider(t, [answers(200, {})])
  const sidecar = await startSidecar(t, upstream.url)
  const call = await fetch(`${sidecar.url}/chat/completions`, { method: 'POST', body: '{"model":"a\\"b\\n\\\\"}' })
  await call.text()
  await sidecar.callLine(0)
  const reply = await fetch(`${sidecar.adminUrl}/metrics`)
  assert.equal(reply.status, 200)
  assert.equal(reply.headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8')
  const series = parseExposition(await reply.text())
  const counted = series.filter(({ name }) => name === 'gateway_requests_total')
  assert.deepEqual(counted, [{ name: 'gateway_requests_total', labels: { model: 'a"b\n\\', status: '200' }, value: 1 }])
})

test('anything else is 404, a method that could change something 405, and HEAD has no body', async (t) => {
  const upstream = await provider(t, [])
  const { adminUrl, proxy } = await startSidecar(t, upstream.url)
  for (const path of ['/', '/v1/chat/completions', '/metrics/', '/debug', '//livez', '/livez/../metrics%00']) {
    const reply = await fetch(adminUrl + path)
    assert.equal(reply.status, 404, path)
    await reply.text()
  }
  for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS']) {
    const reply = await fetch(`${adminUrl}/livez`, { method, ...(method === 'OPTIONS' ? {} : { body: 'x' }) })
    assert.equal(reply.status, 405, method)
    assert.equal(reply.headers.get('allow'), 'GET, HEAD')
    await reply.text()
  }
  const head = await fetch(`${adminUrl}/metrics`, { method: 'HEAD' })
  assert.equal(head.status, 200)
  assert.ok(Number(head.headers.get('content-length')) > 1_000)
  assert.equal(await head.text(), '')
  const client = await rawClient(t, proxy.adminPort)
  client.send('GET /livez HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n')
  assert.match(await client.until('ok\n'), /^HTTP\/1\.1 200 /)
})

test('the two ports serve different things', async (t) => {
  const upstream = await provider(t, [])
  const { adminUrl, origin } = await startSidecar(t, upstream.url)
  for (const path of ['/livez', '/readyz', '/metrics']) {
    const onData = await fetch(origin + path)
    assert.deepEqual([onData.status, onData.headers.get('x-outrider-error')], [404, 'not_found'])
    await onData.text()
  }
  const onAdmin = await fetch(`${adminUrl}/v1/chat/completions`, { method: 'POST', body: '{}' })
  assert.equal(onAdmin.status, 405)
  await onAdmin.text()
  assert.equal(upstream.seen.length, 0)
})

test('a slow client is cut off: silent, sending a byte at a time, or not reading', async (t) => {
  const { port } = await anAdmin(t, 200, `x ${'1'.repeat(20_000_000)}\n`)
  const silent = await rawClient(t, port)
  const halfWay = await rawClient(t, port)
  halfWay.send('GET /livez HTTP/1.1\r\nho')
  const dripping = await rawClient(t, port)
  dripping.send('GET /livez HTTP/1.1\r\nx: ')
  const drip = setInterval(() => {
    dripping.send('x')
  }, 40)
  t.after(() => {
    clearInterval(drip)
  })
  const deaf = connect(port, '127.0.0.1').on('error', () => {})
  t.after(() => deaf.destroy())
  deaf.pause().write('GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n')
  await Promise.all([silent.closed, halfWay.closed, dripping.closed])
  // Node looks twice at a connection that has something to send, and these wait one after the other.
  for (let n = 0; n < 4; n++) await (await rawClient(t, port)).closed
  let bytes = 0
  deaf.on('data', (chunk: Buffer) => {
    bytes += chunk.length
  })
  await once(deaf.resume(), 'close')
  assert.ok(bytes > 0 && bytes < 20_000_000, `what was not read in time is not sent: ${bytes}`)
})

test('both families are answered on the address for all', async (t) => {
  const { port } = await anAdmin(t, 5_000)
  for (const host of ['127.0.0.1', '::1']) {
    const client = await rawClient(t, port, host).catch((err: NodeJS.ErrnoException) => {
      if (host === '::1' && err.code === 'EADDRNOTAVAIL') return undefined
      throw err
    })
    client?.send('GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n')
    if (client !== undefined) assert.equal(repliesIn(await client.closed)[0]?.status, 200)
  }
})

test('a pod without IPv6 gets its probes over IPv4', async (t) => {
  const tried: unknown[] = []
  const listen = Reflect.get(Server.prototype, 'listen') as (this: Server, options: { host: string }) => Server
  // What the kernel of such a pod says; every other address is listened on for real.
  t.mock.method(Server.prototype, 'listen', function (this: Server, options: { host: string }) {
    tried.push(options.host)
    if (options.host !== '::') return listen.call(this, options)
    setImmediate(() => this.emit('error', Object.assign(new Error('no such family'), { code: 'EAFNOSUPPORT' })))
    return this
  })
  const { port } = await anAdmin(t, 5_000)
  assert.deepEqual(tried, ['::', '0.0.0.0'])
  const reply = await fetch(`http://127.0.0.1:${port}/livez`)
  assert.equal(await reply.text(), 'ok\n')
})
