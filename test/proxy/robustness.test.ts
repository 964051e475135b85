import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { chat, paced, provider } from '../fixtures/provider.ts'
import { rawClient } from '../fixtures/rawClient.ts'
import { runOutrider, tempFile, type Outrider } from '../fixtures/runOutrider.ts'
import { parseExposition } from '../observe/exposition.ts'

const ask = (outrider: Outrider, fields: object = {}): Promise<Response> =>
  fetch(`${outrider.url}/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'm', messages: [], ...fields }),
  })

async function works(outrider: Outrider): Promise<void> {
  const reply = await ask(outrider)
  assert.equal(reply.status, 200)
  await reply.text()
}

async function metric(outrider: Outrider, wanted: string): Promise<number> {
  const reply = await fetch(`${outrider.adminUrl}/metrics`)
  return parseExposition(await reply.text()).find(({ name }) => name === wanted)?.value ?? Number.NaN
}

/** A module that is loaded before the program and puts a defect into it. */
const preload = (t: TestContext, code: string): string[] => ['--import', tempFile(t, 'defect.mjs', code)]

test('without file descriptors the process goes on, and works again when there are some', async (t) => {
  // Answered at once, the calls of a slow client could follow each other on the one connection that is there.
  let held = Promise.resolve()
  const upstream = await provider(t, async (exchange) => {
    await held
    await chat('hi')(exchange)
  })
  const outrider = await runOutrider(t, upstream.url, {}, { before: 'ulimit -n 48' })
  await works(outrider)
  const { promise, resolve: letGo } = Promise.withResolvers<void>()
  held = promise
  const clients = await Promise.all(Array.from({ length: 60 }, () => rawClient(t, outrider.port)))
  // Whoever is closed without a word found no descriptor left: before that, calls would take those that others were to hold.
  await Promise.any(clients.map(({ closed }) => closed))
  // Those that were let in hold every descriptor; a call on one of them finds none left for its upstream.
  const call = 'POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}'
  const open = clients.filter(({ socket }) => !socket.destroyed)
  for (const client of open) client.send(call)
  const answered = await Promise.any(open.map((client) => client.until('file descriptors')))
  assert.match(answered, /^HTTP\/1\.1 503 [^]*x-outrider-error: proxy_overloaded\r\n/)
  letGo()
  for (const { socket } of clients) socket.destroy()
  await Promise.all(clients.map(({ closed }) => closed))
  const until = async (): Promise<void> => {
    const reply = await ask(outrider).catch(() => undefined)
    const fine = reply?.status === 200
    await reply?.text()
    if (!fine) return until()
  }
  await until()
  assert.equal(outrider.child.exitCode, null)
  assert.equal(outrider.stderr(), '')
})

test('an upstream that dies in the middle of a stream takes nothing with it', async (t) => {
  const stream = paced()
  const upstream = await provider(t, [stream])
  const outrider = await runOutrider(t, upstream.url)
  const reply = ask(outrider, { stream: true })
  await stream.send({ choices: [{ delta: { content: 'one' } }] })
  const streaming = await reply
  await upstream.close()
  assert.match(await streaming.text(), /event: error\n/)
  const next = await ask(outrider)
  assert.equal(next.status, 502)
  await next.text()
  assert.equal(outrider.child.exitCode, null)
})

test('a defect inside a layer is a 500 with the id of the call and no stack; the log has the stack once', async (t) => {
  const upstream = await provider(t, chat('hi'))
  // The scan of a body that names this model fails as a defect of ours would.
  const code = `const includes = Buffer.prototype.includes
    Buffer.prototype.includes = function (what, ...rest) {
      if (what === '"stream"' && this.indexOf('explode') > 0) throw new RangeError('planted in a layer')
      return includes.call(this, what, ...rest)
    }`
  const outrider = await runOutrider(t, upstream.url, {}, { node: preload(t, code) })
  await works(outrider)
  const reply = await ask(outrider, { model: 'explode' })
  assert.equal(reply.status, 500)
  assert.equal(reply.headers.get('x-outrider-error'), 'internal')
  const text = await reply.text()
  const id = reply.headers.get('x-outrider-call') ?? ''
  assert.ok(text.includes(id))
  assert.doesNotMatch(text, /planted|\.ts|at /)
  await works(outrider)
  await outrider.callLine(2)
  const told = outrider.lines().filter((line) => JSON.stringify(line).includes('planted'))
  assert.equal(told.length, 1)
  assert.equal(told[0]?.['call'], id)
  assert.equal(told[0]?.['level'], 'error')
  assert.match(JSON.stringify(told[0]), /RangeError: planted in a layer\\n +at /)
})

test('a defect while an answer flows is our fault, not the upstream’s, and is in the log', async (t) => {
  const upstream = await provider(t, chat('hi'))
  const code = `const write = (await import('node:http')).ServerResponse.prototype
    for (const name of ['write', 'end']) {
      const original = write[name]
      write[name] = function (chunk, ...rest) {
        if (chunk?.includes?.('"explode"')) throw new RangeError('planted in a callback')
        return original.call(this, chunk, ...rest)
      }
    }`
  const outrider = await runOutrider(t, upstream.url, {}, { node: preload(t, code) })
  await works(outrider)
  await assert.rejects(async () => {
    const reply = await ask(outrider, { model: 'explode' })
    await reply.text()
  })
  const line = await outrider.callLine(1)
  assert.deepEqual([line['error'], line['fault']], ['internal', 'sidecar'])
  const told = outrider.lines().filter((one) => JSON.stringify(one).includes('planted'))
  assert.equal(told.length, 1)
  await works(outrider)
})

test('a defect in the middle of a stream ends it in band as our fault, and is in the log', async (t) => {
  const stream = paced()
  const upstream = await provider(t, [stream, chat('hi')])
  const code = `const { Socket } = await import('node:net')
    const { write } = Socket.prototype
    Socket.prototype.write = function (chunk, ...rest) {
      if (chunk?.includes?.('explode')) throw new RangeError('planted in a callback')
      return write.call(this, chunk, ...rest)
    }`
  const outrider = await runOutrider(t, upstream.url, {}, { node: preload(t, code) })
  const reply = ask(outrider, { stream: true })
  await stream.send({ choices: [{ delta: { content: 'one' } }] })
  const streaming = await reply
  await stream.send({ choices: [{ delta: { content: 'two' } }] })
  await stream.send({ choices: [{ delta: { content: 'explode' } }] })
  const text = await streaming.text()
  assert.match(text, /two/)
  assert.match(text, /event: error\ndata: .*"kind":"internal".*"fault":"sidecar"/)
  assert.doesNotMatch(text, /planted/)
  const line = await outrider.callLine(0)
  assert.deepEqual([line['error'], line['fault'], line['end']], ['internal', 'sidecar', 'cut'])
  assert.equal(outrider.lines().filter((one) => JSON.stringify(one).includes('planted')).length, 1)
  await works(outrider)
})

for (const [what, code] of [
  ['an exception that nobody catches', 'throw new RangeError("planted at large")'],
  ['a rejection that nobody handles', 'Promise.reject(new RangeError("planted at large"))'],
] as const) {
  test(`${what} ends the process loudly`, async (t) => {
    const upstream = await provider(t, chat('hi'))
    const outrider = await runOutrider(t, upstream.url, {}, { node: preload(t, `process.on('SIGUSR2', () => { ${code} })`) })
    await works(outrider)
    outrider.child.kill('SIGUSR2')
    assert.deepEqual(await outrider.exit, { code: 1, signal: null })
    assert.match(outrider.stderr(), /^Outrider stops because of a defect: RangeError: planted at large\n/)
    assert.equal(outrider.stderr().match(/planted/g)?.length, 1)
    const told = outrider.lines().filter(({ level }) => level === 'fatal')
    assert.equal(told.length, 1)
    assert.match(JSON.stringify(told[0]), /planted at large/)
  })
}

test('a log that nobody reads any more costs no call; lines that do not fit are dropped and counted', async (t) => {
  const upstream = await provider(t, chat('hi'))
  const outrider = await runOutrider(t, upstream.url, { log: { level: 'info' } })
  outrider.child.stdout.pause()
  // Long names fill the pipe, the bytes that Node reads ahead, and what the process keeps, with fewer calls.
  const model = `${'\u0001'.repeat(80)}`
  const path = 'x'.repeat(1_000)
  const one = async (): Promise<void> => {
    const reply = await fetch(`${outrider.url}/${path}`, { method: 'POST', body: JSON.stringify({ model, messages: [] }) })
    assert.equal(reply.status, 200)
    await reply.text()
  }
  for (let round = 0; round < 20; round++) await Promise.all(Array.from({ length: 50 }, one))
  assert.ok((await metric(outrider, 'outrider_log_lines_dropped_total')) > 0)
  // Whoever comes back finds the lines whole.
  outrider.child.stdout.resume()
  await outrider.callLine(500)
  outrider.child.kill('SIGTERM')
  assert.deepEqual(await outrider.exit, { code: 0, signal: null })
  assert.ok(outrider.lines().length > 500)
})

test('a log that is stuck does not keep a process that has been told to stop', async (t) => {
  const upstream = await provider(t, chat('hi'))
  const outrider = await runOutrider(t, upstream.url, { drain: { idleExit: '0s' } })
  outrider.child.stdout.pause()
  for (let n = 0; n < 10; n++) {
    await Promise.all(
      Array.from({ length: 50 }, async () => {
        const reply = await fetch(`${outrider.url}/${'x'.repeat(1_000)}`, { method: 'POST', body: '{}' })
        await reply.text()
      }),
    )
  }
  const exited = new Promise((done) => outrider.child.once('exit', (code) => done(code)))
  outrider.child.kill('SIGTERM')
  assert.equal(await exited, 0)
  outrider.child.stdout.destroy()
})

test('a log whose reader is gone costs no call', async (t) => {
  const upstream = await provider(t, chat('hi'))
  const outrider = await runOutrider(t, upstream.url, { drain: { idleExit: '0s' } })
  outrider.child.stdout.destroy()
  outrider.child.stderr.destroy()
  for (let n = 0; n < 5; n++) await works(outrider)
  assert.ok((await metric(outrider, 'outrider_log_lines_dropped_total')) >= 4)
  outrider.child.kill('SIGTERM')
  assert.deepEqual(await outrider.exit, { code: 0, signal: null })
})
