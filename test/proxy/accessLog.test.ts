import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { answers, chat, cutAfter, eachCut, paced, provider, stall, stallAfter } from '../fixtures/provider.ts'
import { rawClient } from '../fixtures/rawClient.ts'
import { startByHand, startSidecar, testKey, type Sidecar } from '../fixtures/startSidecar.ts'

const secret = 'the words of the prompt'

const post = (sidecar: Sidecar, path: string, fields: object, signal?: AbortSignal): Promise<Response> =>
  fetch(`${sidecar.url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: 'Bearer key-of-the-client' },
    body: JSON.stringify({ model: 'm', messages: [{ role: 'user', content: secret }], ...fields }),
    ...(signal === undefined ? {} : { signal }),
  })

const chatPath = '/chat/completions?key=in-the-query'

test('the times of a line come in the order in which things happened', async (t) => {
  const upstream = await provider(t, chat('fine'))
  const sidecar = await startSidecar(t, upstream.url)
  await (await post(sidecar, chatPath, {})).text()
  const line = await sidecar.callLine(0)
  const times = ['connect_ms', 'request_ms', 'head_ms', 'first_byte_ms', 'total_ms'].map((name) => Number(line[name]))
  assert.deepEqual(
    times.toSorted((one, other) => one - other),
    times,
  )
  assert.ok(Number(line['connect_ms']) > 0)
})

// With real time each of its calls could be late, on a machine that has other things to do.
eachCut('each ending of a call is one line, without a key, a query or a word of the prompt', async (t, cut) => {
  const event = { choices: [{ delta: { content: 'one' } }] }
  const leaving = paced()
  const upstream = await provider(t, [chat('fine'), answers(500), cutAfter(event), stallAfter(event), leaving, stall(), stall()], { cut })
  const sidecar = await startByHand(t, upstream.url, { timeouts: { idle: '20s', total: '30s' } })

  await (await post(sidecar, chatPath, {})).text()
  const whole = await sidecar.callLine(0)
  assert.deepEqual([whole['end'], whole['status'], whole['path'], whole['model']], ['complete', 200, '/v1/chat/completions', 'm'])
  assert.deepEqual([whole['upstream'], whole['attempts'], whole['operation'], whole['stream']], ['fake', 1, 'chat', false])
  assert.deepEqual([whole['error'], whole['fault'], whole['level']], [undefined, undefined, 'info'])
  assert.ok(Number(whole['bytes_in']) > 50)
  assert.ok(Number(whole['bytes_out']) > 50)

  await (await post(sidecar, chatPath, {})).text()
  const failed = await sidecar.callLine(1)
  assert.deepEqual([failed['end'], failed['status'], failed['error'], failed['level']], ['complete', 500, undefined, 'warn'])

  await (await post(sidecar, chatPath, { stream: true })).text()
  const broken = await sidecar.callLine(2)
  assert.deepEqual([broken['end'], broken['status'], broken['error'], broken['fault']], ['cut', 200, 'reply_cut', 'upstream'])
  assert.equal(broken['stream'], true)

  const fallingSilent = await post(sidecar, chatPath, { stream: true })
  sidecar.clock.pass(20_100)
  await fallingSilent.text()
  const silent = await sidecar.callLine(3)
  assert.deepEqual([silent['end'], silent['status'], silent['error']], ['timeout', 200, 'idle_timeout'])

  const early = new AbortController()
  const streaming = post(sidecar, chatPath, { stream: true }, early.signal)
  await leaving.send(event)
  await streaming
  early.abort()
  const left = await sidecar.callLine(4)
  assert.deepEqual([left['end'], left['status'], left['error'], left['fault']], ['client_gone', 200, 'client_gone', 'client'])

  const beforeHead = new AbortController()
  const waiting = post(sidecar, chatPath, {}, beforeHead.signal).catch(() => {})
  await upstream.request(5)
  beforeHead.abort()
  await waiting
  const leftEarly = await sidecar.callLine(5)
  assert.deepEqual([leftEarly['end'], leftEarly['status'], leftEarly['head_ms']], ['client_gone', 499, null])

  const beingLate = post(sidecar, chatPath, {})
  await upstream.request(6)
  sidecar.clock.pass(30_100)
  await (await beingLate).text()
  const late = await sidecar.callLine(6)
  assert.deepEqual([late['end'], late['status'], late['error']], ['timeout', 504, 'total_timeout'])

  await (await fetch(`${sidecar.origin}/elsewhere?key=in-the-query`)).text()
  const refused = await sidecar.callLine(7)
  assert.deepEqual([refused['end'], refused['status'], refused['error'], refused['attempts']], ['refused', 404, 'not_found', 0])
  assert.equal('upstream' in refused, false)

  await upstream.close()
  await (await post(sidecar, chatPath, {})).text()
  const down = await sidecar.callLine(8)
  assert.deepEqual([down['end'], down['status'], down['fault']], ['failed', 502, 'upstream'])

  for (const word of [secret, 'in-the-query', testKey, 'key-of-the-client']) assert.equal(sidecar.log().includes(word), false, word)
})

test('bytes that stop being HTTP in the middle of a body are one line with the status that was sent', async (t) => {
  const upstream = await provider(t, [])
  const sidecar = await startSidecar(t, upstream.url)
  const client = await rawClient(t, sidecar.port)
  client.send('POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n')
  assert.match(await client.closed, /^HTTP\/1\.1 400 /)
  const line = await sidecar.callLine(0)
  assert.deepEqual([line['status'], line['error'], line['end']], [400, 'bad_request', 'refused'])
  const reply = await fetch(`${sidecar.adminUrl}/metrics`)
  assert.match(await reply.text(), /outrider_errors_total\{kind="bad_request",fault="client"\} 1\n/)
})

test('at level warn only failed calls are logged, and silent is silent', async (t) => {
  const upstream = await provider(t, chat('fine'))
  const warn = await startSidecar(t, upstream.url, { log: { level: 'warn' } })
  const silent = await startSidecar(t, upstream.url, { log: { level: 'silent' } })
  for (const sidecar of [warn, silent]) {
    await (await post(sidecar, chatPath, {})).text()
    await (await fetch(`${sidecar.origin}/elsewhere`)).text()
  }
  assert.equal((await warn.callLine(0))['error'], 'not_found')
  assert.equal(warn.log().match(/"msg":"call"/g)?.length, 1)
  const client = await rawClient(t, silent.port)
  client.socket.destroy()
  await once(client.socket, 'close')
  assert.equal(silent.log(), '')
})

test('a call to a wrong path is logged with that path, without its query', async (t) => {
  const upstream = await provider(t, [])
  const sidecar = await startSidecar(t, upstream.url)
  assert.equal((await fetch(`${sidecar.origin}/chat/completions?key=secret`)).status, 404)
  const { path, error } = await sidecar.callLine(0)
  assert.deepEqual([path, error], ['/chat/completions', 'not_found'])
})
