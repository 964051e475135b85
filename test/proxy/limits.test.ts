import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { test, type TestContext } from 'node:test'
import { answers, provider, stall } from '../fixtures/provider.ts'
import { chatHead, goodCall, rawClient, refusalIn, repliesIn, type RawReply } from '../fixtures/rawClient.ts'
import { startSidecar } from '../fixtures/startSidecar.ts'

const fileHead = chatHead.replace('application/json', 'application/octet-stream')
const limits = { limits: { jsonBody: '10KiB', uploadBody: '20KiB' } }

for (const [head, most] of [[chatHead, 10_240] as const, [fileHead, 20_480] as const]) {
  const type = head === chatHead ? 'JSON' : 'another type'
  test(`a body of ${type} at its limit passes, one byte more is refused before it is sent`, async (t) => {
    const upstream = await provider(t, answers(200))
    const sidecar = await startSidecar(t, upstream.url, limits)
    const client = await rawClient(t, sidecar.port)
    client.send(`${head}Content-Length: ${most}\r\n\r\n${'a'.repeat(most)}`)
    await client.until('\r\n\r\n{}')
    client.send(`${head}Content-Length: ${most + 1}\r\n\r\n`)
    const { status, kind, close } = refusalIn(await client.closed)
    assert.deepEqual({ status, kind, close }, { status: 413, kind: 'body_too_large', close: true })
    assert.equal(upstream.seen.length, 1)
  })
}

test('a chunked JSON body is refused where it outgrows its limit, and never reaches the upstream', async (t) => {
  const upstream = await provider(t, answers(200))
  const sidecar = await startSidecar(t, upstream.url, limits)
  const client = await rawClient(t, sidecar.port)
  client.send(`${chatHead}Transfer-Encoding: chunked\r\n\r\n`)
  const chunk = `400\r\n${'a'.repeat(1024)}\r\n`
  for (let n = 0; n < 40; n++) client.send(chunk)
  const { status, kind, close } = refusalIn(await client.closed)
  assert.deepEqual({ status, kind, close }, { status: 413, kind: 'body_too_large', close: true })
  assert.equal(upstream.seen.length, 0)
})

test('a chunked upload that outgrows its limit is refused, and its attempt is aborted, not ended', async (t) => {
  const upstream = await provider(t, ({ body }) => body.then(() => {}))
  const sidecar = await startSidecar(t, upstream.url, limits)
  const client = await rawClient(t, sidecar.port)
  client.send(`${fileHead}Transfer-Encoding: chunked\r\n\r\n2800\r\n${'a'.repeat(10_240)}\r\n`)
  const seen = await upstream.request(0)
  client.send(`2801\r\n${'a'.repeat(10_241)}\r\n0\r\n\r\n`)
  assert.equal(await seen.closed, true)
  await assert.rejects(seen.whole)
  assert.equal(refusalIn(await client.closed).kind, 'body_too_large')
})

test('whoever asks before sending is told to go on, or why not', async (t) => {
  const upstream = await provider(t, answers(200))
  const sidecar = await startSidecar(t, upstream.url, limits)
  const client = await rawClient(t, sidecar.port)
  client.send(`${chatHead}Expect: 100-continue\r\nContent-Length: 2\r\n\r\n`)
  await client.until('HTTP/1.1 100 Continue\r\n\r\n')
  assert.equal(upstream.seen.length, 0)
  client.send('{}')
  await client.until('\r\n\r\n{}')
  assert.equal((await upstream.request(0)).headers.expect, undefined)
  client.send(`${chatHead}Expect: 100-continue\r\nContent-Length: 20000\r\n\r\n`)
  const text = await client.closed
  assert.equal(text.match(/100 Continue/g)?.length, 1)
  assert.equal(refusalIn(text).kind, 'body_too_large')
})

test('what is sent behind a refused body is not taken for a call', async (t) => {
  const upstream = await provider(t, answers(200))
  const sidecar = await startSidecar(t, upstream.url, limits)
  const client = await rawClient(t, sidecar.port)
  client.send(`${fileHead}Content-Length: 20481\r\n\r\n`)
  await client.until('body_too_large')
  client.send('a'.repeat(20_481) + goodCall)
  assert.equal(repliesIn(await client.closed).length, 1)
  assert.equal(upstream.seen.length, 0)
})

for (const expectation of ['200-maybe', '100-continue, more', '100-continued']) {
  test(`Expect: ${expectation} is refused in our shape`, async (t) => {
    const upstream = await provider(t, answers(200))
    const sidecar = await startSidecar(t, upstream.url)
    const client = await rawClient(t, sidecar.port)
    client.send(`${chatHead}Expect: ${expectation}\r\nContent-Length: 2\r\n\r\n{}`)
    const { status, kind, code } = refusalIn(await client.closed)
    assert.deepEqual({ status, kind, code }, { status: 417, kind: 'expectation_failed', code: 'expectation_failed' })
    assert.equal(upstream.seen.length, 0)
  })
}

/** One that says how long it is, and one that does not. */
async function tooMuch(t: TestContext, port: number): Promise<(RawReply | undefined)[]> {
  const declared = await rawClient(t, port)
  declared.send(`${chatHead}Content-Length: 80000\r\n\r\n`)
  const chunked = await rawClient(t, port)
  chunked.send(`${chatHead}Transfer-Encoding: chunked\r\n\r\n9c40\r\n${' '.repeat(40_000)}\r\n0\r\n\r\n`)
  return [repliesIn(await declared.closed)[0], repliesIn(await chunked.closed)[0]]
}

test('bodies of all calls together are bounded: one more is told to come back', async (t) => {
  const upstream = await provider(t, stall())
  const sidecar = await startSidecar(t, upstream.url, { limits: { memory: '100KiB' } })
  const first = await rawClient(t, sidecar.port)
  first.send(`${chatHead}Content-Length: 80000\r\n\r\n${' '.repeat(80_000)}`)
  await upstream.request(0)
  for (const reply of await tooMuch(t, sidecar.port)) {
    assert.deepEqual(
      [reply?.status, reply?.header('x-outrider-error'), reply?.header('retry-after'), reply?.header('x-should-retry')],
      [503, 'proxy_overloaded', '1', undefined],
    )
  }
  assert.equal(upstream.seen.length, 1)
  first.socket.destroy()
  await sidecar.callLine(2)
  assert.equal(sidecar.proxy.residue().heldBytes, 0)
})

test('a body that is larger than all of them may be together is refused for good', async (t) => {
  const upstream = await provider(t, [])
  const sidecar = await startSidecar(t, upstream.url, { limits: { memory: '10KiB' } })
  for (const reply of await tooMuch(t, sidecar.port)) {
    assert.deepEqual([reply?.status, reply?.header('x-outrider-error'), reply?.header('x-should-retry')], [413, 'body_too_large', 'false'])
  }
  await sidecar.callLine(1)
  assert.equal(sidecar.proxy.residue().heldBytes, 0)
})

test('more clients than file descriptors are no crash', { skip: process.platform === 'win32' }, async (t) => {
  const upstream = await provider(t, answers(200))
  const config = JSON.stringify({
    listen: { host: '127.0.0.1', port: 0 },
    admin: { host: '127.0.0.1', port: 0 },
    upstreams: [{ name: 'fake', url: `${upstream.url}/v1` }],
    timeouts: { clientHead: '2s' },
  })
  const script = `
    import { parseConfig } from ${JSON.stringify(new URL('../../sidecar/config/config.ts', import.meta.url).href)}
    import { startProxy } from ${JSON.stringify(new URL('../../sidecar/proxy/proxy.ts', import.meta.url).href)}
    const proxy = await startProxy({ ...await parseConfig(${JSON.stringify(config)}, 'test'), env: {}, write: () => {} })
    process.send(proxy.port)
  `
  const child = spawn('sh', ['-c', 'ulimit -n 100; exec "$0" --input-type=module-typescript -e "$1"', process.execPath, script], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  t.after(() => child.kill('SIGKILL'))
  const [port] = (await once(child, 'message')) as [number]
  const crowd = await Promise.all(Array.from({ length: 150 }, () => rawClient(t, port)))
  // They are closed in time, whether they were ever accepted or not, and there is room again.
  await Promise.all(crowd.map(({ closed }) => closed))
  const client = await rawClient(t, port)
  client.send(goodCall)
  await client.until('\r\n\r\n{}')
  assert.equal(child.exitCode, null)
})
