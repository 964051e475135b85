import assert from 'node:assert/strict'
import { test } from 'node:test'
import { answers, chat, provider, stall } from '../fixtures/provider.ts'
import { exchange } from '../fixtures/rawClient.ts'
import { startSidecar, type Sidecar } from '../fixtures/startSidecar.ts'
import { parseExposition } from '../observe/exposition.ts'

const ask = (sidecar: Sidecar, model: string, signal?: AbortSignal): Promise<Response> =>
  fetch(`${sidecar.url}/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model, messages: [] }),
    ...(signal === undefined ? {} : { signal }),
  })

async function values(sidecar: Sidecar): Promise<Map<string, number>> {
  const reply = await fetch(`${sidecar.adminUrl}/metrics`)
  const series = parseExposition(await reply.text())
  return new Map(series.map(({ name, labels, value }) => [[name, ...Object.values(labels)].join(' '), value]))
}

test('calls, errors, clients that left and requests that never were calls are all counted', async (t) => {
  const upstream = await provider(t, [chat('fine'), answers(429), stall()])
  const sidecar = await startSidecar(t, upstream.url)
  await (await ask(sidecar, 'm')).text()
  await (await ask(sidecar, 'm')).text()
  const leaving = new AbortController()
  const gone = ask(sidecar, 'm', leaving.signal).catch(() => {})
  await upstream.request(2)
  assert.equal((await values(sidecar)).get('outrider_in_flight'), 1)
  leaving.abort()
  await gone
  await sidecar.callLine(2)
  await upstream.close()
  await (await ask(sidecar, 'down')).text()
  await exchange(t, sidecar.port, `GET /v1/models HTTP/1.1\r\nhost: x\r\nx-long: ${'x'.repeat(20_000)}\r\n\r\n`)
  await exchange(t, sidecar.port, 'this is no HTTP\r\n\r\n')
  await sidecar.callLine(3)

  const all = await values(sidecar)
  assert.equal(all.get('gateway_requests_total m 200'), 1)
  assert.equal(all.get('gateway_requests_total m 429'), 1)
  assert.equal(all.get('gateway_requests_total m 499'), 1)
  assert.equal(all.get('gateway_requests_total down 502'), 1)
  assert.equal(all.get('gateway_request_duration_seconds_count m'), 3)
  assert.equal(all.get('gateway_model_errors_total m status_429'), 1)
  assert.equal(all.get('gateway_model_errors_total m client_gone'), 1)
  assert.equal(all.get('router_selections_total m'), 3)
  assert.equal(all.get('router_errors_total down connect_failed'), 1)
  assert.ok((all.get('ai_requests_per_second') ?? 0) > 0)
  assert.equal(all.get('outrider_errors_total header_too_large client'), 1)
  assert.equal(all.get('outrider_errors_total bad_request client'), 1)
  assert.equal(all.get('outrider_in_flight'), 0)
  assert.equal(all.get('outrider_held_bytes'), 0)
  assert.equal(all.get('outrider_log_lines_dropped_total'), 0)
})

test('clients that make up models cannot make up series', async (t) => {
  const upstream = await provider(t, chat('fine'))
  const sidecar = await startSidecar(t, upstream.url)
  for (let round = 0; round < 20; round++) {
    await Promise.all(Array.from({ length: 50 }, async (_, n) => (await ask(sidecar, `model-${round}-${n}`)).text()))
  }
  await sidecar.callLine(999)
  const names = [...(await values(sidecar)).keys()].filter((name) => name.startsWith('gateway_requests_total '))
  assert.equal(names.length, 101)
  assert.ok(names.includes('gateway_requests_total other 200'))
})

test('a model that the config names is told by its name, however many others came before it', async (t) => {
  const upstream = await provider(t, chat('fine'))
  const sidecar = await startSidecar(t, upstream.url, { models: [{ name: 'priced' }], routing: { aliases: { quick: 'small' } } })
  for (let n = 0; n < 101; n++) await (await ask(sidecar, `model-${n}`)).text()
  for (const model of ['priced', 'quick', 'small', 'stranger']) await (await ask(sidecar, model)).text()
  await sidecar.callLine(104)
  const told = await values(sidecar)
  const counts = ['priced', 'quick', 'small', 'other'].map((model) => told.get(`gateway_requests_total ${model} 200`))
  assert.deepEqual(counts, [1, 1, 1, 2])
})
