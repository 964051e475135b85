import assert from 'node:assert/strict'
import { hash } from 'node:crypto'
import { test } from 'node:test'
import { brotliCompressSync, constants, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib'
import { answers, chat, provider, rawUpstream } from '../fixtures/provider.ts'
import { startSidecar, type Sidecar } from '../fixtures/startSidecar.ts'

const clientKey = 'plain-word-of-the-client'
const upstreamKey = 'plain-word-of-the-upstream'
const post = async (sidecar: Sidecar, content: string, stream = false): Promise<string> => {
  const reply = await fetch(`${sidecar.url}/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${clientKey}` },
    body: JSON.stringify({ model: 'm', stream, messages: [{ role: 'user', content }] }),
  })
  return reply.text()
}

test('bodies are in no log unless somebody asks for them', async (t) => {
  const upstream = await provider(t, chat('words of the model'))
  const sidecar = await startSidecar(t, upstream.url)
  await post(sidecar, 'words of the prompt')
  const line = await sidecar.callLine(0)
  assert.deepEqual(['request_body' in line, 'reply_body' in line], [false, false])
  assert.equal(sidecar.log().includes('words of'), false)
})

test('a key that the bound would cut in two is not shown by half', async (t) => {
  const upstream = await provider(t, chat('fine'))
  const sidecar = await startSidecar(t, upstream.url, { log: { bodies: '1KiB' }, credentials: { fake: { value: upstreamKey } } })
  const before = JSON.stringify({ model: 'm', stream: false, messages: [{ role: 'user', content: '' }] }).indexOf('""}') + 1
  for (const inside of [1, 10, upstreamKey.length - 1]) {
    for (const behind of [0, 5_000]) await post(sidecar, `${'y'.repeat(1_024 - before - inside)}${upstreamKey}${'z'.repeat(behind)}`)
  }
  for (let n = 0; n < 6; n++) assert.match(String((await sidecar.callLine(n))['request_body']), /y{900,}/)
  assert.equal(sidecar.log().includes('plain'), false)
})

test('with log.bodies their beginnings are in the line of the call, up to the size, without any key', async (t) => {
  const secrets = ['sk-abcdef1234567890', 'AKIAIOSFODNN7EXAMPLE', 'hunter2hunter2', clientKey, upstreamKey]
  const said = `my keys are ${secrets.join(' and ')} and "password": "hunter2hunter2"`.replace(' hunter2hunter2 ', ' none ')
  const upstream = await provider(t, [
    chat(said),
    chat(said),
    answers(401, { error: { message: `bad key: ${upstreamKey}` } }),
    chat('x'.repeat(9_000)),
  ])
  const sidecar = await startSidecar(t, upstream.url, { log: { bodies: '2KiB' }, credentials: { fake: { value: upstreamKey } } })
  assert.ok((await post(sidecar, said)).includes('sk-abcdef1234567890'), 'only the log is without them')
  await post(sidecar, said, true)
  await post(sidecar, said)
  await post(sidecar, 'y'.repeat(9_000))
  for (const n of [0, 1, 2]) {
    const line = await sidecar.callLine(n)
    assert.match(String(line['request_body']), /"role":"user","content":"my keys are \[redacted\]/)
    assert.match(String(line['reply_body']), n === 2 ? /bad key: \[redacted\]/ : /\[redacted\]|my/)
  }
  const long = await sidecar.callLine(3)
  for (const name of ['request_body', 'reply_body']) assert.ok(String(long[name]).length <= 2_048 && String(long[name]).length > 2_000)
  for (const secret of secrets) assert.equal(sidecar.log().includes(secret), false, secret)
})

test('a body a little longer than the size is cut to it as well', async (t) => {
  const upstream = await provider(t, chat('fine'))
  const sidecar = await startSidecar(t, upstream.url, { log: { bodies: '1KiB' } })
  await post(sidecar, 'y'.repeat(1_024))
  assert.equal(String((await sidecar.callLine(0))['request_body']).length, 1_024)
})

test('a compressed reply is logged as what it says, as far as it was kept, and one that is none not at all', async (t) => {
  const said = JSON.stringify({ model: 'm', choices: [{ message: { content: `the key is ${upstreamKey}` } }] })
  // Hardly gets smaller: of all of it no more is kept than would be of the text.
  const long = Buffer.from(Array.from({ length: 4_000 }, (_, n) => hash('sha256', String(n), 'base64')).join(' '))
  const packed = (coding: string, bytes: Buffer) => answers(200, bytes, { 'content-encoding': coding })
  const replies = [
    packed('gzip', gzipSync(said)),
    packed('deflate', deflateSync(said)),
    packed('br', brotliCompressSync(said)),
    packed('zstd', zstdCompressSync(said)),
    packed('gzip', gzipSync(long)),
    packed('gzip', gzipSync(Buffer.alloc(64 << 20, 'x'))),
    packed('x-none', Buffer.from(said)),
    packed('gzip', Buffer.from(said)),
  ]
  const upstream = await provider(t, replies)
  const sidecar = await startSidecar(t, upstream.url, { log: { bodies: '1KiB' }, credentials: { fake: { value: upstreamKey } } })
  const shown: unknown[] = []
  for (const n of replies.keys()) {
    // Of some of these answers no client could make anything.
    await post(sidecar, 'hi').catch(() => {})
    shown.push((await sidecar.callLine(n))['reply_body'])
  }
  const whole = said.replace(upstreamKey, '[redacted]')
  assert.deepEqual(shown.slice(0, 4), [whole, whole, whole, whole])
  assert.equal(shown[4], long.toString('utf8', 0, 1_024))
  assert.match(String(shown[5]), /^x{1024}$/)
  assert.deepEqual(shown.slice(6), [undefined, undefined])
  assert.equal(sidecar.log().includes(upstreamKey), false)
})

test('a compressed reply that breaks off in the middle of a key shows nothing of it', async (t) => {
  const said = `${'x'.repeat(1_500)} ${upstreamKey.slice(0, -1)}`
  // As far as it goes, without an end.
  const begun = gzipSync(said, { finishFlush: constants.Z_SYNC_FLUSH })
  const upstream = await provider(t, ({ res, reset }) => {
    res.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip', 'content-length': '5000' })
    res.write(begun, reset)
  })
  const sidecar = await startSidecar(t, upstream.url, { log: { bodies: '2KiB' }, credentials: { fake: { value: upstreamKey } } })
  await post(sidecar, 'hi').catch(() => {})
  assert.match(String((await sidecar.callLine(0))['reply_body']), /^x{400,}$/)
})

test('nor does one that is not compressed', async (t) => {
  const upstream = await rawUpstream(t, async (socket, bytes) => {
    await bytes.until('"words"')
    const said = `{"echo":"${upstreamKey.slice(0, -3)}`
    socket.end(`HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n${said}`)
  })
  const sidecar = await startSidecar(t, upstream.url, { log: { bodies: '1KiB' }, credentials: { fake: { value: upstreamKey } } })
  await assert.rejects(post(sidecar, 'words'))
  assert.equal((await sidecar.callLine(0))['reply_body'], '{"echo":"[redacted]')
  assert.equal(sidecar.log().includes('plain'), false)
})
