import assert from 'node:assert/strict'
import { createServer as createHttp } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { answers, deadUpstream, provider, rawUpstream, type Exchange, type Step } from '../fixtures/provider.ts'
import { startSidecar, type Sidecar } from '../fixtures/startSidecar.ts'

const call = async (sidecar: Sidecar, n = 0, method = 'POST'): Promise<string> => {
  const body = method === 'POST' ? { body: JSON.stringify({ n }) } : {}
  const reply = await fetch(`${sidecar.url}/chat/completions`, { method, headers: { 'content-type': 'application/json' }, ...body })
  const text = await reply.text()
  const error = reply.headers.get('x-outrider-error')
  return `${reply.status} ${error === null ? text : error}`
}

const calls = (sidecar: Sidecar, count: number): Promise<string[]> =>
  Promise.all(Array.from({ length: count }, (_none, n) => call(sidecar, n)))

/** Holds each request until it is let go, and echoes it. */
function held(): Step & { letGo: () => Promise<string>; waiting: () => number; most: () => number } {
  const here: Exchange[] = []
  let most = 0
  const arrived: (() => void)[] = []
  const step = async (exchange: Exchange): Promise<void> => {
    await exchange.body
    here.push(exchange)
    most = Math.max(most, here.length)
    arrived.shift()?.()
  }
  const letGo = async (): Promise<string> => {
    if (here.length === 0)
      await new Promise<void>((done) => {
        arrived.push(done)
      })
    const exchange = here.shift()
    assert.ok(exchange)
    const body = exchange.seen.body.toString()
    exchange.res.end(body)
    return body
  }
  return Object.assign(step, { letGo, waiting: () => here.length, most: () => most })
}

test('no more calls are under way than connections are allowed, and those that wait are served in order', async (t) => {
  const step = held()
  const upstream = await provider(t, step)
  const sidecar = await startSidecar(t, upstream.url, {}, { connections: 2 })
  const under = [call(sidecar, 0)]
  await upstream.request(0)
  under.push(call(sidecar, 1))
  await upstream.request(1)
  for (let n = 2; n < 6; n++) {
    under.push(call(sidecar, n))
    // One after the other, so that their order is known: the queue has it when the figure says so.
    await queued(sidecar, n - 1)
  }
  const order: string[] = []
  for (let n = 0; n < 6; n++) order.push(await step.letGo())
  assert.deepEqual(
    order,
    [0, 1, 2, 3, 4, 5].map((n) => `{"n":${n}}`),
  )
  await Promise.all(under)
  assert.equal(step.most(), 2)
  assert.equal(upstream.connections, 2)
})

/** Waits until `n` calls are in flight beside the first. */
async function queued({ proxy }: Sidecar, n: number): Promise<void> {
  while (proxy.residue().inFlight < n + 2) await new Promise((done) => setImmediate(done))
}

for (const [what, lines] of [
  ['closes after each answer', 'HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}'],
  ['closes after each answer without saying so', 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}'],
  ['speaks HTTP/1.0', 'HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\n{}'],
] as const) {
  test(`an upstream that ${what} serves those that wait in order, each on a connection of its own`, async (t) => {
    const all = Promise.withResolvers<void>()
    const order: string[] = []
    const upstream = await rawUpstream(t, async (socket, bytes) => {
      const request = (await bytes.until('}')).toString()
      order.push(request.slice(request.indexOf('{')))
      await all.promise
      socket.end(lines)
    })
    const sidecar = await startSidecar(t, upstream.url, {}, { connections: 1 })
    const under = [call(sidecar, 0)]
    await upstream.connection(0)
    for (let n = 1; n < 6; n++) {
      under.push(call(sidecar, n))
      await queued(sidecar, n - 1)
    }
    all.resolve()
    assert.deepEqual(await Promise.all(under), Array(6).fill('200 {}'))
    assert.deepEqual(
      order,
      [0, 1, 2, 3, 4, 5].map((n) => `{"n":${n}}`),
    )
    assert.equal(upstream.connections.length, 6)
  })
}

test('HEAD, after which a connection is closed, does not spoil the call that waits behind it', async (t) => {
  const upstream = await provider(t, answers(200, '{}'))
  const sidecar = await startSidecar(t, upstream.url, {}, { connections: 1 })
  const mixed = Array.from({ length: 8 }, (_none, n) => call(sidecar, n, n % 2 === 0 ? 'HEAD' : 'POST'))
  assert.deepEqual(
    await Promise.all(mixed),
    Array.from({ length: 8 }, (_none, n) => (n % 2 === 0 ? '200 ' : '200 {}')),
  )
})

test('a cancelled call does not spoil the one that waits behind it', async (t) => {
  const upstream = await provider(t, [() => {}, answers(200, '{}')])
  const sidecar = await startSidecar(t, upstream.url, {}, { connections: 1 })
  const leaving = new AbortController()
  const first = fetch(`${sidecar.url}/models`, { signal: leaving.signal })
  await upstream.request(0)
  const second = call(sidecar)
  await queued(sidecar, 0)
  leaving.abort()
  await assert.rejects(first)
  assert.equal(await second, '200 {}')
})

test('a refused connection is connect_failed, and names where it was refused', async (t) => {
  const url = await deadUpstream()
  const sidecar = await startSidecar(t, url)
  const reply = await fetch(`${sidecar.url}/models`)
  assert.equal(reply.status, 502)
  const { error } = (await reply.json()) as { error: { code: string; message: string } }
  assert.equal(error.code, 'connect_failed')
  assert.match(error.message, new RegExp(new URL(url).host.replaceAll('.', '\\.')))
})

test('each of many calls that wait for the same dead upstream gets its answer', async (t) => {
  const sidecar = await startSidecar(t, await deadUpstream(), {}, { connections: 1 })
  assert.deepEqual(await calls(sidecar, 20), Array(20).fill('502 connect_failed'))
})

test('an upstream that dies under many calls and comes back is used again', async (t) => {
  let answering = false
  const server = createHttp((req, res) => {
    req.resume().on('end', () => {
      if (answering) res.end('{}')
      else if (++arrived === 10) all.resolve()
    })
  })
  let arrived = 0
  const all = Promise.withResolvers<void>()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  const sidecar = await startSidecar(t, `http://127.0.0.1:${port}`, {}, { connections: 10 })
  const under = calls(sidecar, 30)
  await all.promise
  server.close()
  server.closeAllConnections()
  const outcomes = await under
  assert.deepEqual(new Set(outcomes), new Set(['502 no_reply', '502 connect_failed']))
  assert.equal(outcomes.filter((one) => one === '502 no_reply').length, 10)
  answering = true
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  assert.deepEqual(await calls(sidecar, 30), Array(30).fill('200 {}'))
  assert.ok(sidecar.proxy.residue().connections <= 10)
})
