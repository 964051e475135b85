import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { answers, chat, frame, openStream, writeEach, type Exchange, type Step } from '../fixtures/provider.ts'
import type { Document, Sidecar } from '../fixtures/startSidecar.ts'
import { ask, askedOf, served, startUpstreams, type Told } from '../fixtures/startUpstreams.ts'

/** Without pins, calls take turns: that they do not is then no chance. */
const inTurns: Document = { routing: { strategy: 'round_robin' } }
const oneTier = [{ tier: 1 }, { tier: 1 }, { tier: 1 }]

type Body = Readonly<Record<string, unknown>>

async function bodyOf({ body }: Exchange): Promise<Body> {
  try {
    return JSON.parse((await body).toString()) as Body
  } catch {
    return {}
  }
}

/** What a provider answers that keeps things: each that is made has an id that nobody else knows. */
const keeper: Step = async (exchange) => {
  const { path, method } = exchange.seen
  const body = await bodyOf(exchange)
  const [, , kind = '', id] = path.split(/[/?]/)
  if (method === 'GET' || id !== undefined) return answers(200, { id, object: kind })(exchange)
  if (kind === 'chat') return chat('hi')(exchange)
  const prefix = { responses: 'resp_', files: 'file-', batches: 'batch_', conversations: 'conv_', uploads: 'upload_' }[kind] ?? ''
  const reasoning = kind === 'responses' ? [{ id: `rs_${randomUUID()}`, type: 'reasoning' }] : []
  const made = { id: `${prefix}${randomUUID()}`, object: kind, instructions: body['instructions'] ?? null, output: [] }
  if (body['stream'] !== true) return answers(200, { ...made, output: reasoning })(exchange)
  openStream(exchange)
  const events = [
    { type: 'response.created', response: made },
    { type: 'response.in_progress', response: made },
    { type: 'response.output_item.added', item: reasoning[0] },
    { type: 'response.completed', response: made },
  ]
  await writeEach(exchange, events.map(frame))
  exchange.res.end()
}
const three = [keeper, keeper, keeper]

const respond = (sidecar: Pick<Sidecar, 'url'>, body: object = {}): Promise<Told> =>
  ask(sidecar, { input: 'hi', ...body }, {}, '/responses')

/** Somebody makes it; who, is up to the strategy. */
async function made(sidecar: Sidecar, path = '/responses', body: object = {}): Promise<{ id: string; at: string; text: string }> {
  const told = await ask(sidecar, body, {}, path)
  assert.equal(told.status, 200, told.text)
  const id = /"id":"([^"]+)"/.exec(told.text)?.[1] ?? ''
  return { id, at: served(told)[0] ?? '', text: told.text }
}

async function get(sidecar: Sidecar, path: string, method = 'GET'): Promise<Told> {
  const reply = await fetch(`${sidecar.url}${path}`, { method })
  return { status: reply.status, headers: reply.headers, text: await reply.text() }
}

/** Three turns of three upstreams: without a pin each would be asked. */
async function allGoTo(upstream: string, again: () => Promise<Told>): Promise<void> {
  for (let n = 0; n < 3; n++) {
    const told = await again()
    assert.deepEqual([told.status, ...served(told)], [200, upstream, '1'], told.text)
  }
}

test('a call that names an earlier response goes to the upstream that made it', async (t) => {
  const { sidecar } = await startUpstreams(t, three, inTurns, oneTier)
  const makers = new Set<string>()
  for (let n = 0; n < 3; n++) {
    const { id, at } = await made(sidecar)
    makers.add(at)
    await allGoTo(at, () => respond(sidecar, { previous_response_id: id }))
    await allGoTo(at, () => get(sidecar, `/responses/${id}`))
    await allGoTo(at, () => get(sidecar, `/responses/${id}/cancel`, 'POST'))
  }
  assert.equal(makers.size, 3, 'new ones are made in turns')
  assert.equal('chosen_by' in (await sidecar.callLine(0)), false)
  assert.equal((await sidecar.callLine(1))['chosen_by'], 'pin')
})

test('the same for one whose answer was a stream, and for the reasoning in it', async (t) => {
  const { sidecar } = await startUpstreams(t, three, inTurns, oneTier)
  for (let n = 0; n < 3; n++) {
    const { id, at, text } = await made(sidecar, '/responses', { stream: true, instructions: 'be brief '.repeat(5_000) })
    await allGoTo(at, () => respond(sidecar, { previous_response_id: id }))
    const reasoning = /rs_[\w-]+/.exec(text)?.[0]
    // Who keeps nothing at the provider sends it back, sealed.
    await allGoTo(at, () => respond(sidecar, { store: false, input: [{ type: 'reasoning', id: reasoning, encrypted_content: 'sealed' }] }))
  }
})

test('the reasoning of a plain answer is known behind long instructions too', async (t) => {
  const { sidecar } = await startUpstreams(t, three, inTurns, oneTier)
  for (let n = 0; n < 3; n++) {
    const { at, text } = await made(sidecar, '/responses', { instructions: 'be brief '.repeat(5_000) })
    await allGoTo(at, () => respond(sidecar, { input: [{ type: 'reasoning', id: /rs_[\w-]+/.exec(text)?.[0] }] }))
  }
})

test('a file that was uploaded is found by all that name it: its path, a chat, a response, a batch, and what is made of it', async (t) => {
  const { sidecar } = await startUpstreams(t, three, inTurns, oneTier)
  for (let n = 0; n < 3; n++) {
    const form = new FormData()
    form.set('purpose', 'batch')
    form.set('file', new Blob(['{}']), 'lines.jsonl')
    const reply = await fetch(`${sidecar.url}/files`, { method: 'POST', body: form })
    const at = reply.headers.get('x-outrider-upstream') ?? ''
    const { id } = (await reply.json()) as { id: string }
    await allGoTo(at, () => get(sidecar, `/files/${id}`))
    await allGoTo(at, () => get(sidecar, `/files/${id}/content`))
    await allGoTo(at, () => ask(sidecar, { messages: [{ role: 'user', content: [{ type: 'file', file: { file_id: id } }] }] }))
    await allGoTo(at, () => respond(sidecar, { input: [{ content: [{ type: 'input_file', file_id: id }] }] }))
    const batch = await made(sidecar, '/batches', { input_file_id: id })
    assert.equal(batch.at, at)
    await allGoTo(at, () => get(sidecar, `/batches/${batch.id}`))
  }
})

test('a multipart upload in parts goes where it was begun', async (t) => {
  const { sidecar } = await startUpstreams(t, three, inTurns, oneTier)
  for (let n = 0; n < 3; n++) {
    const { id, at } = await made(sidecar, '/uploads')
    await allGoTo(at, async () => {
      const form = new FormData()
      form.set('data', new Blob(['part']))
      const reply = await fetch(`${sidecar.url}/uploads/${id}/parts`, { method: 'POST', body: form })
      return { status: reply.status, headers: reply.headers, text: await reply.text() }
    })
  }
})

const codeRun: Step = async (exchange) => {
  const { stream, container } = await bodyOf(exchange)
  const id = typeof container === 'string' ? container : `container_${randomUUID()}`
  const text = { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'word '.repeat(300) } }
  if (stream !== true) return answers(200, { id: 'msg_1', content: Array.from({ length: 20 }, () => text), container: { id } })(exchange)
  openStream(exchange)
  const events = [
    { type: 'message_start', message: { id: 'msg_1' } },
    ...Array.from({ length: 20 }, () => text),
    { type: 'message_delta', delta: { stop_reason: 'end_turn', container: { id } } },
    { type: 'message_stop' },
  ]
  await writeEach(exchange, events.map(frame))
  exchange.res.end()
}

for (const stream of [false, true]) {
  test(`the container in which code was run is found again, told in ${stream ? 'a stream' : 'a plain answer'} of Messages`, async (t) => {
    const { sidecar } = await startUpstreams(t, [codeRun, codeRun, codeRun], inTurns, oneTier)
    const tools = [{ type: 'code_execution_20250825', name: 'code_execution' }]
    for (let n = 0; n < 3; n++) {
      const told = await ask(sidecar, { tools, stream }, {}, '/messages')
      const container = /container_[\w-]+/.exec(told.text)?.[0]
      await allGoTo(served(told)[0] ?? '', () => ask(sidecar, { tools, container }, {}, '/messages'))
    }
  })
}

test('each credential of an upstream is an account of its own', async (t) => {
  const credentials = { one: { value: 'sk-one-0123456789' }, two: { value: 'sk-two-0123456789' } }
  const document = { ...inTurns, credentials }
  const { sidecar, providers } = await startUpstreams(t, [keeper], document, [{ credential: undefined, credentials: ['one', 'two'] }])
  const shown = (n: number): unknown => providers[0]?.seen[n]?.headers.authorization
  const first = await made(sidecar)
  const second = await made(sidecar)
  assert.notEqual(shown(0), shown(1))
  for (let n = 0; n < 3; n++) await respond(sidecar, { previous_response_id: first.id })
  for (let n = 0; n < 3; n++) await respond(sidecar, { previous_response_id: second.id })
  assert.deepEqual([2, 3, 4, 5, 6, 7].map(shown), [0, 0, 0, 1, 1, 1].map(shown))
})

test('answers with ids in them are asked for uncompressed, and chats as the client wants them', async (t) => {
  const zipped: Step = async (exchange) => {
    const { req, res, seen } = exchange
    if (!/gzip/.test(req.headers['accept-encoding'] ?? '')) return keeper(exchange)
    await seen.whole
    res.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' }).end(gzipSync('{"id":"resp_zipped"}'))
  }
  const { sidecar, providers } = await startUpstreams(t, [zipped, zipped], inTurns, oneTier)
  const { id, at } = await made(sidecar)
  assert.notEqual(id, 'resp_zipped')
  await allGoTo(at, () => respond(sidecar, { previous_response_id: id }))
  await ask(sidecar)
  assert.ok(
    providers
      .flatMap(({ seen }) => seen)
      .some(({ path, headers }) => path.includes('chat') && headers['accept-encoding']?.includes('gzip')),
  )
})

test('a chat leaves no pin behind', async (t) => {
  const { sidecar } = await startUpstreams(t, three, { ...inTurns, control: { off: false, port: 0 } }, oneTier)
  const known = async (): Promise<unknown> => {
    const metrics = await (await fetch(`${sidecar.adminUrl}/metrics`)).text()
    const control = await (await fetch(`http://127.0.0.1:${sidecar.proxy.controlPort}/status`)).json()
    return [/^outrider_pins (\d+)$/m.exec(metrics)?.[1], (control as { pins: number }).pins]
  }
  for (let n = 0; n < 3; n++) await ask(sidecar)
  assert.deepEqual(await known(), ['0', 0])
  await made(sidecar, '/conversations')
  assert.deepEqual(await known(), ['1', 1])
})

test('an id that was forgotten for others is asked for at one upstream alone', async (t) => {
  const { sidecar } = await startUpstreams(t, three, { routing: { strategy: 'round_robin', pins: { most: 1 } } }, oneTier)
  const first = await made(sidecar, '/conversations')
  await made(sidecar, '/conversations')
  const ways = new Set<unknown>()
  for (let n = 0; n < 3; n++) ways.add(served(await respond(sidecar, { conversation: first.id }))[0])
  assert.equal(ways.size, 1)
  assert.equal((await sidecar.callLine(2))['chosen_by'], 'id')
})

test('where all upstreams are one account, ids say nothing', async (t) => {
  const { sidecar, providers } = await startUpstreams(t, three, { routing: { strategy: 'round_robin', pins: { off: true } } }, oneTier)
  const { id } = await made(sidecar)
  for (let n = 0; n < 5; n++) await respond(sidecar, { previous_response_id: id })
  assert.deepEqual(askedOf(providers), [2, 2, 2])
})
