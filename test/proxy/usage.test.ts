import assert from 'node:assert/strict'
import { test } from 'node:test'
import { brotliCompressSync, gzipSync, zstdCompressSync } from 'node:zlib'
import { answers, paced, provider, sse, sseBytes, type Step } from '../fixtures/provider.ts'
import { startSidecar, type Sidecar } from '../fixtures/startSidecar.ts'
import { parseExposition } from '../observe/exposition.ts'

const ask = async (sidecar: Sidecar, path: string, stream = false): Promise<Buffer> => {
  const reply = await fetch(`${sidecar.url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'asked', stream }),
  })
  return Buffer.from(await reply.arrayBuffer())
}

const fields = ['model', 'model_served', 'tokens_in', 'tokens_out', 'tokens_cached', 'tokens_reasoning']
const told = async (sidecar: Sidecar, n: number): Promise<unknown[]> => {
  const line = await sidecar.callLine(n)
  return fields.map((name) => line[name])
}

const usage = { prompt_tokens: 20, completion_tokens: 30, prompt_tokens_details: { cached_tokens: 16 } }
const completion = { id: 'x', model: 'served', choices: [{ message: { content: 'words '.repeat(30_000) } }], usage }
const expected = ['asked', 'served', 20, 30, 16, undefined]

/** An answer without a declared length, in pieces. */
const pieces =
  (text: string, size: number): Step =>
  async ({ res, body }) => {
    await body
    res.writeHead(200, { 'content-type': 'application/json' })
    for (let at = 0; at < text.length; at += size) res.write(text.slice(at, at + size))
    res.end()
  }

test('the line of a call tells the tokens of a JSON answer, long, in pieces or compressed, and the answer passes as it came', async (t) => {
  const text = JSON.stringify(completion)
  const packed = (coding: string, bytes: Buffer): Step => answers(200, bytes, { 'content-encoding': coding })
  const upstream = await provider(t, [
    answers(200, { ...completion, choices: [] }),
    answers(200, completion),
    pieces(text, 7_001),
    packed('gzip', gzipSync(text)),
    packed('br', brotliCompressSync(text)),
    packed('zstd', zstdCompressSync(text)),
  ])
  const sidecar = await startSidecar(t, upstream.url)
  for (let n = 0; n < 6; n++) {
    const body = (await ask(sidecar, '/chat/completions')).toString()
    if (n > 0 && n < 5) assert.equal(body, text, `answer ${n}`)
    assert.deepEqual(await told(sidecar, n), expected, `answer ${n}`)
  }
})

test('compressed bytes that are none, or swell without end, cost a call its tokens and nothing else', async (t) => {
  const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024))
  const upstream = await provider(t, [
    answers(200, bomb, { 'content-encoding': 'gzip' }),
    answers(200, 'no gzip', { 'content-encoding': 'x-unknown' }),
  ])
  const sidecar = await startSidecar(t, upstream.url)
  assert.equal((await ask(sidecar, '/chat/completions')).length, 64 * 1024 * 1024)
  await ask(sidecar, '/chat/completions')
  for (const n of [0, 1]) assert.deepEqual(await told(sidecar, n), ['asked', ...Array.from({ length: 5 })])
})

test('streams tell theirs at their ends, in the words of each endpoint', async (t) => {
  const start = {
    type: 'message_start',
    message: { model: 'served', usage: { input_tokens: 3, cache_read_input_tokens: 4, output_tokens: 1 } },
  }
  const completed = {
    type: 'response.completed',
    response: {
      model: 'served',
      output: [{ text: 'words '.repeat(30_000) }],
      usage: { input_tokens: 5, output_tokens: 7, output_tokens_details: { reasoning_tokens: 2 } },
    },
  }
  const chunk = { model: 'served', choices: [{ delta: { content: 'hi' }, finish_reason: 'stop' }], usage: null }
  const delta = { type: 'content_block_delta', delta: { text: 'hi' } }
  const upstream = await provider(t, [
    sse(chunk, { model: 'served', choices: [], usage }, '[DONE]'),
    sse(chunk, '[DONE]'),
    sse(start, delta, delta, delta, delta, { type: 'message_delta', usage: { output_tokens: 90 } }, { type: 'message_stop' }),
    sse({ type: 'response.created', response: { model: 'served' } }, completed),
    sseBytes(...`data: ${JSON.stringify({ ...chunk, usage })}\n\ndata: [DONE]\n\n`.split('')),
  ])
  const sidecar = await startSidecar(t, upstream.url)
  for (const path of ['/chat/completions', '/chat/completions', '/messages', '/responses', '/chat/completions'])
    await ask(sidecar, path, true)
  assert.deepEqual(await told(sidecar, 0), expected)
  assert.deepEqual(await told(sidecar, 1), ['asked', 'served', ...Array.from({ length: 4 })])
  assert.deepEqual(await told(sidecar, 2), ['asked', 'served', 7, 90, 4, undefined])
  assert.deepEqual(await told(sidecar, 3), ['asked', 'served', 5, 7, undefined, 2])
  assert.deepEqual(await told(sidecar, 4), expected)
})

test('tokens, times and what we added of them are measured under the names of OpenTelemetry and our own', async (t) => {
  const chunk = { model: 'served', choices: [{ delta: {}, finish_reason: 'stop' }] }
  const upstream = await provider(t, [answers(200, completion), sse(chunk, { ...chunk, usage }, '[DONE]'), answers(429)])
  const sidecar = await startSidecar(t, upstream.url)
  await ask(sidecar, '/chat/completions')
  await ask(sidecar, '/chat/completions', true)
  await ask(sidecar, '/chat/completions')
  await sidecar.callLine(2)
  const series = parseExposition(await (await fetch(`${sidecar.adminUrl}/metrics`)).text())
  const value = (name: string, labels: Record<string, string>): number | undefined =>
    series.find((one) => one.name === name && Object.entries(labels).every(([key, label]) => one.labels[key] === label))?.value
  const both = { gen_ai_operation_name: 'chat', gen_ai_provider_name: '127.0.0.1', gen_ai_request_model: 'asked' }
  const labels = { ...both, gen_ai_response_model: 'served', server_port: String(upstream.port) }
  assert.equal(value('gen_ai_client_token_usage_sum', { ...labels, gen_ai_token_type: 'input' }), 40)
  assert.equal(value('gen_ai_client_token_usage_sum', { ...labels, gen_ai_token_type: 'output' }), 60)
  assert.equal(value('gen_ai_client_operation_duration_seconds_count', labels), 2)
  assert.equal(value('gen_ai_client_operation_duration_seconds_count', { ...both, error_type: '429' }), 1)
  assert.equal(value('gen_ai_client_operation_time_to_first_chunk_seconds_count', labels), 1)
  assert.equal(value('gen_ai_server_request_duration_seconds_count', labels), 2)
  assert.equal(value('gen_ai_server_request_duration_seconds_count', { ...both, error_type: '429' }), 1)
  assert.equal(value('gen_ai_server_time_to_first_token_seconds_count', labels), 1)
  assert.equal(value('gen_ai_server_time_per_output_token_seconds_count', labels), 1)
  assert.equal(value('outrider_tokens_total', { model: 'asked', type: 'input' }), 40)
  assert.equal(value('outrider_tokens_total', { model: 'asked', type: 'cached' }), 32)
  assert.equal(value('outrider_added_seconds_count', { to: 'first_byte' }), 3)
  assert.equal(value('outrider_added_seconds_count', { to: 'call' }), 3)
  assert.ok((value('outrider_added_seconds_sum', { to: 'call' }) ?? 0) > 0)
})

test('of a stream, the time between its pieces is measured, once', async (t) => {
  const model = paced()
  const upstream = await provider(t, model)
  const sidecar = await startSidecar(t, upstream.url)
  const asking = fetch(`${sidecar.url}/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{"model":"asked","stream":true}',
  })
  await model.send({ model: 'served', choices: [{ delta: { content: 'a' } }] })
  const reader = (await asking).body?.getReader()
  for (const content of ['b', 'c']) {
    await reader?.read()
    await model.send({ choices: [{ delta: { content }, finish_reason: content === 'c' ? 'stop' : null }] })
  }
  await reader?.read()
  await model.send('[DONE]')
  await model.end()
  while ((await reader?.read())?.done === false);
  await sidecar.callLine(0)
  const text = await (await fetch(`${sidecar.adminUrl}/metrics`)).text()
  const [, seconds = '', count = ''] =
    /^gen_ai_client_operation_time_per_output_chunk_seconds_sum\{.*\} (\S+)\n.*_count\{.*\} (\d+)$/m.exec(text) ?? []
  assert.equal(count, '1')
  assert.ok(Number(seconds) > 0)
})

test('what we add holds no wait for the upstream or for its first event', async (t) => {
  const model = paced()
  const upstream = await provider(t, model)
  const sidecar = await startSidecar(t, upstream.url, { streams: { heartbeat: '100ms' } })
  const reply = await fetch(`${sidecar.url}/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{"model":"m","stream":true}',
  })
  const reader = reply.body?.getReader()
  // Two heartbeats: so long nothing came from the model.
  for (let seen = ''; seen.split('still here').length < 3;) seen += Buffer.from((await reader?.read())?.value ?? []).toString()
  await model.send({ choices: [{ finish_reason: 'stop' }] })
  await model.send('[DONE]')
  await model.end()
  while ((await reader?.read())?.done === false);
  const line = await sidecar.callLine(0)
  const [total, added] = [Number(line['total_ms']), Number(line['added_ms'])]
  assert.ok(added > 0 && added < total - 150, `${added} of ${total}`)
  const series = parseExposition(await (await fetch(`${sidecar.adminUrl}/metrics`)).text())
  for (const to of ['call', 'first_byte']) {
    const sum = series.find(({ name, labels }) => name === 'outrider_added_seconds_sum' && labels['to'] === to)?.value ?? 0
    assert.ok(sum > 0 && sum < (total - 150) / 1_000, `${to}: ${sum} s`)
  }
})

test('a call of a model with a price tells what it cost', async (t) => {
  const upstream = await provider(t, answers(200, completion))
  const sidecar = await startSidecar(t, upstream.url, { models: [{ name: 'asked', price: { input: 1, output: 2 } }] })
  await ask(sidecar, '/chat/completions')
  assert.equal((await sidecar.callLine(0))['cost_usd'], 0.00008)
})
