import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { answers, deaf, paced, provider } from '../fixtures/provider.ts'
import { rawClient, refusalIn, repliesIn } from '../fixtures/rawClient.ts'
import { startByHand, startSidecar, type Sidecar } from '../fixtures/startSidecar.ts'
import { aheadAfterMs, sendUntilStuck } from '../fixtures/stuckUpload.ts'

const head = 'POST /v1/files HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=x\r\n'
const megabyte = Buffer.alloc(1024 * 1024, 'abcdefghijklmnop')
const chunkOf = (bytes: Buffer): Buffer => Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')])
const hashOf = (...parts: Buffer[]): string => createHash('sha256').update(Buffer.concat(parts)).digest('hex')

for (const declared of [true, false]) {
  test(`an upload ${declared ? 'with its length' : 'in chunks'} flows through while it comes`, async (t) => {
    const upstream = await provider(t, answers(200))
    const sidecar = await startSidecar(t, upstream.url)
    const client = await rawClient(t, sidecar.port)
    client.send(head + (declared ? `Content-Length: ${3 * megabyte.length}\r\n\r\n` : 'Transfer-Encoding: chunked\r\n\r\n'))
    client.send(declared ? megabyte : chunkOf(megabyte))
    // The head has reached the upstream before the client has sent the rest.
    const seen = await upstream.request(0)
    client.send(declared ? megabyte : chunkOf(megabyte))
    client.send(declared ? megabyte : chunkOf(megabyte))
    if (!declared) client.send('0\r\n\r\n')
    await client.until('\r\n\r\n{}')
    assert.equal(hashOf(seen.body), hashOf(megabyte, megabyte, megabyte))
    assert.equal(seen.headers['content-length'], declared ? String(3 * megabyte.length) : undefined)
    assert.equal(seen.headers['content-type'], 'multipart/form-data; boundary=x')
  })
}

for (const declared of [true, false]) {
  test(`JSON beyond what is kept for a repeat ${declared ? 'with its length' : 'in chunks'} flows through whole`, async (t) => {
    const upstream = await provider(t, answers(200))
    const sidecar = await startSidecar(t, upstream.url, { limits: { replayBody: '100KiB' } })
    const body = Buffer.from(`{"model":"m","input":"${'0123456789'.repeat(30_000)}"}`)
    const client = await rawClient(t, sidecar.port)
    client.send(head.replace('multipart/form-data; boundary=x', 'application/json'))
    client.send(declared ? `Content-Length: ${body.length}\r\n\r\n` : 'Transfer-Encoding: chunked\r\n\r\n')
    for (let at = 0; at < body.length; at += 7_000) {
      const part = body.subarray(at, at + 7_000)
      client.send(declared ? part : chunkOf(part))
    }
    if (!declared) client.send('0\r\n\r\n')
    await client.until('\r\n\r\n{}')
    assert.equal(hashOf((await upstream.request(0)).body), hashOf(body))
  })
}

test('an upstream that does not read makes the client wait', async (t) => {
  const upstream = await provider(t, deaf())
  const sidecar = await startByHand(t, upstream.url, { timeouts: { write: '10s', clientBody: '10m' } })
  const client = await rawClient(t, sidecar.port)
  client.send(`${head}Content-Length: ${400 * megabyte.length}\r\n\r\n`)
  // It ends when the client has to wait.
  await sendUntilStuck(client.socket, sidecar)
  assert.equal(sidecar.proxy.residue().heldBytes, 0)
  // From now on it is read ahead, and again the client has to wait.
  sidecar.clock.pass(aheadAfterMs)
  await sendUntilStuck(client.socket, sidecar)
  const { heldBytes } = sidecar.proxy.residue()
  assert.ok(heldBytes > 0 && heldBytes < 10 * megabyte.length, `${heldBytes} bytes are held`)
  sidecar.clock.pass(20_000)
  assert.equal(refusalIn(await client.until('x-outrider-error')).kind, 'write_timeout')
})

test('a client that leaves in the middle of a stuck upload is noticed', async (t) => {
  const upstream = await provider(t, deaf())
  const sidecar = await startSidecar(t, upstream.url)
  const client = await rawClient(t, sidecar.port)
  client.send(`${head}Content-Length: ${20 * megabyte.length}\r\n\r\n`)
  for (let n = 0; n < 4; n++) client.send(megabyte)
  await upstream.request(0)
  client.socket.destroy()
  const line = await sidecar.callLine(0)
  assert.equal(line['error'], 'client_gone')
})

test('an upstream that refuses an upload early is heard at once, and the connection ends with its answer', async (t) => {
  const upstream = await provider(t, ({ res }) => void res.writeHead(413, { 'content-length': '5' }).end('early'))
  const sidecar = await startSidecar(t, upstream.url)
  const client = await rawClient(t, sidecar.port)
  client.send(`${head}Content-Length: ${50 * megabyte.length}\r\n\r\n`)
  client.send(megabyte)
  const text = await client.closed
  const [reply] = repliesIn(text)
  assert.equal(reply?.status, 413)
  assert.equal(reply?.header('x-outrider-error'), undefined)
  assert.equal(reply?.header('connection'), 'close')
  assert.match(reply?.body ?? '', /early/)
})

test('nothing of a body is kept after its call', async (t) => {
  const upstream = await provider(t, answers(200))
  const sidecar = await startSidecar(t, upstream.url, { limits: { replayBody: '1KiB' } })
  const client = await rawClient(t, sidecar.port)
  for (const type of ['application/json', 'application/octet-stream']) {
    for (const size of [10, 1_000_000]) {
      client.send(`POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Type: ${type}\r\nTransfer-Encoding: chunked\r\n\r\n`)
      client.send(chunkOf(Buffer.alloc(size, 'a')))
      client.send('0\r\n\r\n')
    }
  }
  await client.until('\r\n\r\n{}', 4)
  assert.equal(sidecar.proxy.residue().heldBytes, 0)
})

/** What has been sent has been read, if it is read, when other calls have gone through. */
async function readBy({ origin }: Sidecar): Promise<void> {
  for (let n = 0; n < 3; n++) await (await fetch(`${origin}/elsewhere`)).text()
}

test('an upload that was whole before a connection was free is whole at the upstream', async (t) => {
  const held = paced({ 'content-type': 'application/json' })
  const upstream = await provider(t, [held, answers(200)])
  const sidecar = await startByHand(t, upstream.url, { limits: { replayBody: '1KiB' } }, { connections: 1 })
  const first = await rawClient(t, sidecar.port)
  first.send('GET /v1/models HTTP/1.1\r\nHost: a\r\n\r\n')
  await upstream.request(0)
  const second = await rawClient(t, sidecar.port)
  second.send('POST /v1/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n')
  second.send(chunkOf(megabyte.subarray(0, 2_000)))
  second.send('0\r\n\r\n')
  await readBy(sidecar)
  // Longer than it takes until a waiting upload is read ahead.
  sidecar.clock.pass(aheadAfterMs)
  await readBy(sidecar)
  await held.end()
  await second.until('\r\n\r\n{}')
  assert.equal(hashOf((await upstream.request(1)).body), hashOf(megabyte.subarray(0, 2_000)))
})
