import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { metrics, type Metrics } from '../../sidecar/observe/metrics.ts'
import type { Facts } from '../../sidecar/proxy/facts.ts'
import { aCall } from '../fixtures/calls.ts'
import { parseExposition, type Series } from './exposition.ts'

const url = new URL('https://api.openai.com/v1')

const open = (): Metrics =>
  metrics({
    now: () => 2_000,
    inFlight: () => 3,
    heldBytes: () => 4,
    connections: () => ({ open: 5, busy: 2, waiting: 1 }),
    webSockets: () => 6,
    pins: () => 0,
    droppedLines: () => 7,
    upstreamStates: () => [],
    isNamedModel: (model) => model === 'named',
    canaries: () => [],
    config: () => ({ hash: 'abc', loadedMs: 8_000, reloads: { applied: 2, unchanged: 0, refused: 1 } }),
  })

const seriesOf = async ({ tell }: Metrics): Promise<Series[]> => parseExposition((await tell()).text)

async function valueOf(all: Metrics, name: string, labels: Record<string, string> = {}): Promise<number | undefined> {
  const wanted = JSON.stringify(Object.entries(labels).map(String).toSorted())
  const series = await seriesOf(all)
  return series.find((one) => one.name === name && JSON.stringify(Object.entries(one.labels).map(String).toSorted()) === wanted)?.value
}

const over = (all: Metrics, facts: Partial<Facts>): void => {
  all.observe(aCall({ facts: { beganMs: 1_000, overMs: 2_000, status: 200, model: 'm', ...facts } }), url)
}

test('a call is counted under all names that dashboards know', async () => {
  const all = open()
  over(all, { headMs: 1_500, firstByteMs: 1_500, bytesIn: 10, bytesOut: 20 })
  assert.equal(await valueOf(all, 'gateway_requests_total', { model: 'm', status: '200' }), 1)
  assert.equal(await valueOf(all, 'gateway_request_duration_seconds_sum', { model: 'm' }), 1)
  assert.equal(await valueOf(all, 'router_selections_total', { model: 'm' }), 1)
  assert.equal(await valueOf(all, 'ai_requests_per_second'), 1)
  assert.equal(await valueOf(all, 'outrider_calls_total', { operation: 'chat', status: '200' }), 1)
  assert.equal(await valueOf(all, 'outrider_attempts_total', { upstream: 'fake' }), 1)
  assert.equal(await valueOf(all, 'outrider_first_byte_seconds_sum', { operation: 'chat' }), 0.5)
  assert.equal(await valueOf(all, 'outrider_bytes_total', { direction: 'in' }), 10)
  assert.equal(await valueOf(all, 'outrider_bytes_total', { direction: 'out' }), 20)
  assert.equal(await valueOf(all, 'gateway_model_errors_total', { model: 'm', error_type: 'status_200' }), undefined)
})

test('failures are counted by kind and fault, errors of the upstream by status', async () => {
  const all = open()
  over(all, { status: 502, error: 'connect_failed' })
  over(all, { status: 200, headMs: 1_500, error: 'reply_cut' })
  over(all, { status: 429, headMs: 1_500 })
  over(all, { status: 404, error: 'not_found', attempts: 0, model: '' })
  assert.equal(await valueOf(all, 'outrider_errors_total', { kind: 'connect_failed', fault: 'upstream' }), 1)
  assert.equal(await valueOf(all, 'outrider_errors_total', { kind: 'not_found', fault: 'client' }), 1)
  assert.equal(await valueOf(all, 'gateway_model_errors_total', { model: 'm', error_type: 'connect_failed' }), 1)
  assert.equal(await valueOf(all, 'gateway_model_errors_total', { model: 'm', error_type: 'reply_cut' }), 1)
  assert.equal(await valueOf(all, 'gateway_model_errors_total', { model: 'm', error_type: 'status_429' }), 1)
  assert.equal(await valueOf(all, 'router_errors_total', { model: 'm', error: 'connect_failed' }), 1)
  assert.equal(await valueOf(all, 'router_errors_total', { model: 'm', error: 'reply_cut' }), undefined)
  assert.equal(await valueOf(all, 'router_errors_total', { model: 'none', error: 'not_found' }), undefined)
  assert.equal(await valueOf(all, 'gateway_requests_total', { model: 'none', status: '404' }), 1)
})

test('a duration of the server begins with the last byte of the request, and ends with that of the answer', async () => {
  const all = open()
  const labels = { gen_ai_operation_name: 'chat', gen_ai_provider_name: 'openai', server_address: 'api.openai.com', server_port: '443' }
  const sum = (more: Record<string, string> = {}): Promise<number | undefined> =>
    valueOf(all, 'gen_ai_server_request_duration_seconds_sum', { ...labels, gen_ai_request_model: 'm', ...more })
  over(all, { sentMs: 1_250, endedMs: 1_500 })
  assert.equal(await sum(), 0.25, 'and not with what a slow client took to read it')
  over(all, { status: 504, error: 'total_timeout', sentMs: 1_250 })
  assert.equal(await sum({ error_type: 'total_timeout' }), 0.75, 'of one that never came, with the end of the wait')
  over(all, { status: 502, error: 'reply_cut', sentMs: 1_500, endedMs: 1_250 })
  assert.equal(await sum({ error_type: 'reply_cut' }), 0.5, 'the end of an earlier attempt is none of this one')
  over(all, { status: 502, error: 'connect_failed' })
  assert.equal(await sum({ error_type: 'connect_failed' }), undefined, 'what was never sent, no server was at work on')
})

test('who looks after the sidecar adds nothing to the requests a second', async () => {
  const all = open()
  for (const operation of ['health', 'stats'] as const) over(all, { operation, attempts: 0, model: '' })
  assert.equal(await valueOf(all, 'ai_requests_per_second'), 0)
  assert.equal(await valueOf(all, 'outrider_calls_total', { operation: 'health', status: '200' }), 1)
})

test('a model that the config names keeps its series, however many names clients have made up before it', async () => {
  const all = open()
  for (let n = 0; n < 200; n++) over(all, { model: `made-up-${n}` })
  over(all, { model: 'named' })
  assert.equal(await valueOf(all, 'gateway_requests_total', { model: 'named', status: '200' }), 1)
  assert.equal(await valueOf(all, 'gateway_requests_total', { model: 'other', status: '200' }), 100)
  const series = await seriesOf(all)
  assert.ok(series.some(({ name, labels }) => name.startsWith('gen_ai_') && labels['gen_ai_request_model'] === 'named'))
})

test('a client that left before the head counts as 499', async () => {
  const all = open()
  over(all, { status: 0, error: 'client_gone' })
  assert.equal(await valueOf(all, 'gateway_requests_total', { model: 'm', status: '499' }), 1)
})

test('what was refused before it was a call is counted as an error', async () => {
  const all = open()
  all.refused('header_too_large')
  assert.equal(await valueOf(all, 'outrider_errors_total', { kind: 'header_too_large', fault: 'client' }), 1)
})

test('what is asked for at a scrape is as it stands then', async () => {
  const all = open()
  assert.equal(await valueOf(all, 'outrider_in_flight'), 3)
  assert.equal(await valueOf(all, 'outrider_held_bytes'), 4)
  assert.equal(await valueOf(all, 'outrider_connections', { state: 'waiting' }), 1)
  assert.equal(await valueOf(all, 'outrider_websockets'), 6)
  assert.equal(await valueOf(all, 'outrider_log_lines_dropped_total'), 7)
  assert.equal(await valueOf(all, 'outrider_log_lines_dropped_total'), 7, 'a second scrape adds nothing')
  assert.ok(((await valueOf(all, 'process_cpu_seconds_total')) ?? 0) > 0)
})

test('a thousand models end in 101 series a status, and a thousand statuses in few', async () => {
  const all = open()
  for (let n = 0; n < 1_000; n++) over(all, { model: `model-${n}` })
  for (let status = 200; status < 1_000; status++) over(all, { model: 'model-0', status })
  const series = await seriesOf(all)
  const of = (name: string): Series[] => series.filter((one) => one.name === name)
  const models = new Set(of('gateway_requests_total').map(({ labels }) => labels['model']))
  assert.equal(models.size, 101)
  assert.ok(models.has('other'))
  assert.equal(of('gateway_requests_total').filter(({ labels }) => labels['status'] === '200').length, 101)
  assert.equal(of('gateway_request_duration_seconds_count').length, 101)
  assert.equal(of('router_selections_total').length, 101)
  assert.ok(of('outrider_calls_total').length <= 50)
  assert.equal(
    of('gateway_requests_total').reduce((sum, { value }) => sum + value, 0),
    1_800,
    'every call is counted once',
  )
})

test('whatever models are called, the text is valid', async () => {
  const name = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom('a"b', 'a\\', '\n', '\r', '\uD800', '\u2028', 'a,status:500', '{}', '#'),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(name, { maxLength: 20 }), async (models) => {
      const all = open()
      for (const model of models) over(all, { model })
      // As it goes over the wire.
      const text = Buffer.from((await all.tell()).text).toString()
      const counted = parseExposition(text).filter((one) => one.name === 'gateway_requests_total')
      assert.equal(
        counted.reduce((sum, { value }) => sum + value, 0),
        models.length,
      )
    }),
    { numRuns: 50 },
  )
})

test('an upstream that moved is told apart from where it was, and what went before stays', async () => {
  const all = open()
  for (const host of ['api.openai.com', 'api.x.ai', 'api.x.ai'])
    all.observe(aCall({ facts: { overMs: 2_000, status: 200, model: 'm' } }), new URL(`https://${host}/v1`))
  const durations = (await seriesOf(all)).filter(({ name }) => name === 'gen_ai_client_operation_duration_seconds_count')
  assert.deepEqual(
    durations.map(({ labels, value }) => [labels['server_address'], labels['gen_ai_provider_name'], value]),
    [
      ['api.openai.com', 'openai', 1],
      ['api.x.ai', 'x_ai', 2],
    ],
  )
})
