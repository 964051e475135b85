import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { accessLog, endOf } from '../../sidecar/observe/accessLog.ts'
import type { Level } from '../../sidecar/observe/log.ts'
import type { Call } from '../../sidecar/proxy/call.ts'
import type { Facts } from '../../sidecar/proxy/facts.ts'
import { aCall } from '../fixtures/calls.ts'

type Line = Record<string, unknown>

/** What is logged of these calls, and the writes it came in. */
async function logged(calls: readonly Call[], level: Level = 'info', sample = 1): Promise<{ lines: Line[]; writes: number }> {
  const writes: string[] = []
  const log = accessLog({ write: (lines) => writes.push(lines), level, sample, secrets: () => [] })
  for (const call of calls) log?.(call)
  await new Promise((done) => setImmediate(done))
  const lines = writes
    .join('')
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Line)
  return { lines, writes: writes.length }
}

test('a line says what the call was, how long each part took, and how it ended', async () => {
  const facts: Partial<Facts> = {
    beganMs: 1_000,
    connectedMs: 1_010.5,
    sentMs: 1_011,
    headMs: 1_300,
    firstByteMs: 1_301.256,
    overMs: 1_500,
    status: 200,
    model: 'gpt-4o',
    client: 'shop',
    bytesIn: 10,
    bytesOut: 20,
    trace: { id: 'a'.repeat(32), span: 'b'.repeat(16), flags: '01', continued: true },
    queuedMs: 1_002,
    ownMs: 1.5,
    tried: [
      { upstream: 'fake', account: '', model: '', outcome: 'stale_connection', ms: 2 },
      { upstream: 'fake', account: '', model: 'gpt-4o', outcome: 200, ms: 290.5 },
    ],
    usage: { model: 'gpt-4o-2026', input: 12, output: 3, cached: 4, reasoning: -1 },
  }
  const call = aCall({ id: 'a-1', path: '/chat/completions?api-version=1&key=sk-secret', facts })
  const { lines } = await logged([call])
  const [{ time, ...line } = {}] = lines
  assert.match(String(time), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
  assert.ok(Math.abs(Date.parse(String(time)) - Date.now()) < 5_000)
  assert.deepEqual(line, {
    level: 'info',
    msg: 'call',
    call: 'a-1',
    trace_id: 'a'.repeat(32),
    span_id: 'b'.repeat(16),
    client: 'shop',
    method: 'POST',
    path: '/v1/chat/completions',
    operation: 'chat',
    model: 'gpt-4o',
    model_served: 'gpt-4o-2026',
    stream: false,
    upstream: 'fake',
    attempts: 1,
    tried: [
      { upstream: 'fake', outcome: 'stale_connection', ms: 2 },
      { upstream: 'fake', outcome: 200, ms: 290.5 },
    ],
    status: 200,
    end: 'complete',
    queue_ms: 2,
    connect_ms: 10.5,
    request_ms: 11,
    head_ms: 300,
    first_byte_ms: 301.26,
    total_ms: 500,
    added_ms: 1.5,
    bytes_in: 10,
    bytes_out: 20,
    tokens_in: 12,
    tokens_out: 3,
    tokens_cached: 4,
  })
})

test('calls of one turn of the event loop are written together', async () => {
  const { lines, writes } = await logged([aCall(), aCall(), aCall()])
  assert.deepEqual([lines.length, writes], [3, 1])
})

test('whatever model, client and path hold, each call is one line of JSON and names come back as they were', async () => {
  const nasty = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom('\n', '"', '\\', '\u2028', '\u2029', '\uD800', 'a\uDC00b', '\u0000', '\u001B[2J', '</script>', '\r\nGET / HTTP/1.1'),
  )
  await fc.assert(
    fc.asyncProperty(nasty, nasty, nasty, async (model, client, path) => {
      const { lines } = await logged([aCall({ path: `/${path}`, facts: { model, client } })])
      assert.equal(lines.length, 1)
      const [line = {}] = lines
      assert.equal(line['model'], model === '' ? undefined : model)
      assert.equal(line['client'], client === '' ? undefined : client)
      assert.equal(line['path'], `/v1/${path}`.split('?')[0])
    }),
  )
})

test('a path of any length is cut, between the halves of a pair too', async () => {
  const { lines } = await logged([aCall({ path: `/${'é\u{1F600}'.repeat(2_000)}` })])
  assert.ok(String(lines[0]?.['path']).length <= 1_024)
})

test('the level decides which calls are logged', async () => {
  const calls = [
    aCall({ id: 'fine', facts: { status: 200 } }),
    aCall({ id: 'upstream-error', facts: { status: 500 } }),
    aCall({ id: 'refused', facts: { status: 404, error: 'not_found' } }),
    aCall({ id: 'cut', facts: { status: 200, error: 'reply_cut' } }),
  ]
  const ids = async (level: Level): Promise<unknown[]> => (await logged(calls, level)).lines.map(({ call }) => call)
  const all = ['fine', 'upstream-error', 'refused', 'cut']
  assert.deepEqual(await ids('trace'), all)
  assert.deepEqual(await ids('info'), all)
  assert.deepEqual(await ids('warn'), all.slice(1))
  for (const level of ['error', 'fatal', 'silent'] as const) assert.deepEqual(await ids(level), [])
  const { lines } = await logged(calls)
  assert.deepEqual(
    lines.map(({ level, fault }) => [level, fault]),
    [
      ['info', undefined],
      ['warn', undefined],
      ['warn', 'client'],
      ['warn', 'upstream'],
    ],
  )
})

test('of calls that went well a share is logged, chosen by their trace; of those that failed all are', async () => {
  const traced = (id: string, end: string, facts: Partial<Facts> = {}): Call => {
    const trace = { id: `${'0'.repeat(24)}${end}`, span: 'b'.repeat(16), flags: '01', continued: true }
    return aCall({ id, facts: { status: 200, trace, ...facts } })
  }
  const calls = [
    traced('low', '00000001'),
    traced('high', 'ffffffff'),
    traced('middle', '19999999'),
    traced('failed', 'ffffffff', { status: 502, error: 'connect_failed' }),
    traced('error', 'ffffffff', { status: 500 }),
  ]
  const ids = async (sample: number): Promise<unknown[]> => {
    const { lines } = await logged(calls, 'info', sample)
    return lines.map(({ call }) => call)
  }
  assert.deepEqual(await ids(1), ['low', 'high', 'middle', 'failed', 'error'])
  assert.deepEqual(await ids(0.1), ['low', 'middle', 'failed', 'error'])
  assert.deepEqual(await ids(0.01), ['low', 'failed', 'error'])
  assert.deepEqual(await ids(0), ['failed', 'error'])
})

test('a call that ended before its head has the status it would have got', async () => {
  const gone = await logged([aCall({ facts: { status: 0, error: 'client_gone' } })])
  assert.equal(gone.lines[0]?.['status'], 499)
  const broken = await logged([aCall({ facts: { status: 0, error: 'bad_request' } })])
  assert.equal(broken.lines[0]?.['status'], 400)
})

test('each way to end has its word', () => {
  const ends = (facts: Partial<Facts>): string => endOf(aCall({ facts }).facts)
  assert.equal(ends({ status: 200 }), 'complete')
  assert.equal(ends({ status: 500 }), 'complete', 'an error of the upstream that passed as it came')
  assert.equal(ends({ status: 0, error: 'client_gone' }), 'client_gone')
  assert.equal(ends({ status: 200, error: 'client_gone' }), 'client_gone')
  assert.equal(ends({ status: 504, error: 'connect_timeout' }), 'timeout')
  assert.equal(ends({ status: 200, error: 'idle_timeout' }), 'timeout')
  assert.equal(ends({ status: 408, error: 'client_timeout', attempts: 0 }), 'timeout')
  assert.equal(ends({ status: 200, error: 'reply_cut' }), 'cut')
  assert.equal(ends({ status: 200, error: 'draining' }), 'cut')
  assert.equal(ends({ status: 502, error: 'reply_cut' }), 'failed')
  assert.equal(ends({ status: 502, error: 'connect_failed' }), 'failed')
  assert.equal(ends({ status: 503, error: 'proxy_overloaded', attempts: 0 }), 'refused')
  assert.equal(ends({ status: 404, error: 'not_found', attempts: 0 }), 'refused')
  assert.equal(ends({ status: 500, error: 'internal', attempts: 1 }), 'failed')
})

test('each line tells of its own call, however much calls resemble each other', async () => {
  // Nearly always the first: two calls then differ in one thing alone.
  const few = <Item>(usual: Item, ...others: Item[]): fc.Arbitrary<Item> =>
    fc.oneof({ weight: 9, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: fc.constantFrom(...others) })
  const call = fc.record({
    method: few('POST', 'GET'),
    path: few('/chat/completions', '/responses', '/chat/completions?key=sk-1'),
    client: few('', 'shop', 'till'),
    model: few('', 'a', 'b"'),
    operation: few('chat' as const, 'responses' as const),
    stream: few(true, false),
    upstream: few('one', 'two', 'three', 'four'),
    attempts: few(1, 0, 2),
    chosenBy: few(undefined, 'pin' as const, 'affinity' as const),
    modelServed: few(undefined, '', 'a-1', 'b-1'),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(call, { minLength: 20, maxLength: 60 }), async (calls) => {
      const counts = { input: -1, output: -1, cached: -1, reasoning: -1 }
      const { lines } = await logged(
        calls.map(({ method, path, modelServed, ...facts }) =>
          aCall({ method, path, facts: { ...facts, usage: modelServed === undefined ? undefined : { model: modelServed, ...counts } } }),
        ),
      )
      const told = lines.map(({ method, path, client, model, operation, stream, upstream, attempts, chosen_by, model_served }) =>
        Object.entries({ method, path, client, model, operation, stream, upstream, attempts, chosen_by, model_served }).map(String),
      )
      const meant = calls.map(({ method, path, client, model, operation, stream, upstream, attempts, chosenBy, modelServed }) =>
        Object.entries({
          method,
          path: `/v1${path.split('?')[0]}`,
          client: client || undefined,
          model: model || undefined,
          operation,
          stream,
          upstream: attempts === 0 ? undefined : upstream,
          attempts,
          chosen_by: chosenBy,
          model_served: modelServed || undefined,
        }).map(String),
      )
      assert.deepEqual(told, meant)
    }),
    { numRuns: 50 },
  )
})
