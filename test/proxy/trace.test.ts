import assert from 'node:assert/strict'
import { test } from 'node:test'
import { chat, provider } from '../fixtures/provider.ts'
import { startSidecar, type Sidecar } from '../fixtures/startSidecar.ts'

const id = '0af7651916cd43dd8448eb211c80319c'
const span = 'b7ad6b7169203331'
const shape = /^00-([0-9a-f]{32})-([0-9a-f]{16})-(0[0-3])$/

const post = async (sidecar: Sidecar, headers: Record<string, string>): Promise<void> => {
  const reply = await fetch(`${sidecar.url}/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: '{"model":"m","messages":[]}',
  })
  await reply.text()
}

test('a trace of the client goes on with a span of ours, its flags and its state; the log names both ids', async (t) => {
  const upstream = await provider(t, chat('fine'))
  const sidecar = await startSidecar(t, upstream.url)
  const sent = [`00-${id}-${span}-01`, `00-${id}-${span}-00`, `00-${id}-${span}-ff`, `cc-${id}-${span}-01-more`]
  const spans = new Set([span])
  for (const [n, traceparent] of sent.entries()) {
    await post(sidecar, { traceparent, tracestate: 'a=1,b=2' })
    const { headers } = await upstream.request(n)
    const [, traceId, ours = '', flags] = shape.exec(String(headers['traceparent'])) ?? []
    assert.deepEqual([traceId, flags], [id, ['01', '00', '03', '01'][n]])
    assert.equal(spans.has(ours), false)
    spans.add(ours)
    assert.equal(headers['tracestate'], 'a=1,b=2')
    const line = await sidecar.callLine(n)
    assert.deepEqual([line['trace_id'], line['span_id']], [id, ours])
  }
})

test('without a trace that is valid one begins here, and a state that belongs to none goes no further', async (t) => {
  const upstream = await provider(t, chat('fine'))
  const sidecar = await startSidecar(t, upstream.url)
  const invalid = [
    undefined,
    '',
    'nonsense',
    `ff-${id}-${span}-01`,
    `00-${id}-${span}-01-more`,
    `00-${'0'.repeat(32)}-${span}-01`,
    `00-${id}-${'0'.repeat(16)}-01`,
    `00-${id.toUpperCase()}-${span}-01`,
    `00-${id}-${span}-1`,
  ]
  const ids = new Set([id])
  for (const [n, traceparent] of invalid.entries()) {
    await post(sidecar, { ...(traceparent === undefined ? {} : { traceparent }), tracestate: 'a=1' })
    const { headers } = await upstream.request(n)
    const [, traceId = ''] = shape.exec(String(headers['traceparent'])) ?? []
    assert.equal(ids.has(traceId) || traceId === '', false, traceparent ?? 'none')
    ids.add(traceId)
    assert.equal(headers['tracestate'], undefined)
    assert.equal((await sidecar.callLine(n))['trace_id'], traceId)
  }
})

test('whoever scrapes OpenMetrics gets the traces of sampled calls as exemplars; the other format stays as it was', async (t) => {
  const upstream = await provider(t, chat('fine'))
  const sidecar = await startSidecar(t, upstream.url)
  await post(sidecar, { traceparent: `00-${id}-${span}-01` })
  const unsampled = 'f'.repeat(32)
  await post(sidecar, { traceparent: `00-${unsampled}-${span}-00` })
  await sidecar.callLine(1)
  const scrape = async (accept: string): Promise<{ type: string | null; text: string }> => {
    const reply = await fetch(`${sidecar.adminUrl}/metrics`, { headers: { accept } })
    return { type: reply.headers.get('content-type'), text: await reply.text() }
  }
  for (let round = 0; round < 2; round++) {
    const open = await scrape('application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.3')
    assert.match(open.type ?? '', /^application\/openmetrics-text; version=1\.0\.0/)
    assert.match(open.text, /\n# EOF\n$/)
    assert.match(open.text, /# TYPE outrider_calls counter\noutrider_calls_total\{operation="chat",status="200"\} 2\n/)
    const exemplar = `outrider_first_byte_seconds_bucket\\{[^}]*\\} \\d+ # \\{trace_id="${id}"\\} [\\d.e-]+ (\\d+)`
    const seconds = Number(new RegExp(exemplar).exec(open.text)?.[1])
    assert.ok(Math.abs(seconds - Date.now() / 1_000) < 60, open.text)
    assert.equal(open.text.includes(unsampled), false)
    const plain = await scrape('text/plain')
    assert.match(plain.type ?? '', /^text\/plain; version=0\.0\.4/)
    assert.match(plain.text, /# TYPE outrider_calls_total counter\noutrider_calls_total\{operation="chat",status="200"\} 2\n/)
    assert.equal(plain.text.includes(id), false)
  }
})
