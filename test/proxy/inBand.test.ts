import assert from 'node:assert/strict'
import OpenAI, { APIError } from 'openai'
import { parseEvents } from '../../sidecar/proxy/llm/sse.ts'
import { cutAfter, eachCut, endAfter, frame, paced, provider, stallAfter, type Event, type Step } from '../fixtures/provider.ts'
import { startSidecar, type Sidecar } from '../fixtures/startSidecar.ts'
import { openStream } from '../fixtures/streamClient.ts'
import { chatText } from '../fixtures/streams.ts'

const chatEvents = chatText(['a', 'b', 'c']).map((text) => text.slice('data: '.length, -2))
const responseEvents = ['response.created', 'response.in_progress', 'response.output_item.added', 'response.output_text.delta'].map(
  (type, n) => ({
    type,
    sequence_number: 10 * n,
    response: {},
    item: {},
    delta: 'a',
  }),
)
const messageEvents = [
  { type: 'message_start', message: {} },
  { type: 'content_block_delta', delta: { type: 'text_delta', text: 'a' } },
]

interface ErrorData {
  readonly type: string
  readonly code?: string
  readonly message?: string
  readonly sequence_number?: number
  readonly request_id?: string
  readonly error: { readonly message: string; readonly type: string; readonly code?: string; readonly param?: null }
  readonly outrider: {
    readonly kind: string
    readonly fault: string
    readonly call: string
    readonly upstream: string
    readonly attempts: number
  }
}

/** The last event, which has to be an error of ours. */
function lastError(text: string): ErrorData {
  const last = parseEvents(text).at(-1)
  assert.equal(last?.event, 'error')
  return JSON.parse(last.data) as ErrorData
}

const clientOf = (sidecar: Sidecar): OpenAI => new OpenAI({ baseURL: sidecar.url, apiKey: 'none', maxRetries: 0, logLevel: 'off' })

/** Reads a stream with the SDK to its end. */
async function readChat(sidecar: Sidecar): Promise<number> {
  let read = 0
  for await (const _chunk of await clientOf(sidecar).chat.completions.create({ model: 'm', messages: [], stream: true })) read++
  return read
}

async function readResponses(sidecar: Sidecar): Promise<number> {
  let read = 0
  for await (const _event of await clientOf(sidecar).responses.create({ model: 'm', input: 'x', stream: true })) read++
  return read
}

const isInterrupted = (err: unknown): boolean => {
  assert.ok(err instanceof APIError, String(err))
  assert.match(err.message, /Upstream fake failed.*reply_cut/)
  return true
}

eachCut('the error of a chat stream is in every form that a client of OpenAI knows, and names who failed', async (t, cut) => {
  const upstream = await provider(t, [cutAfter(...chatEvents.slice(0, 2))], { cut })
  const sidecar = await startSidecar(t, upstream.url)
  const client = await openStream(t, sidecar.port)
  const text = await client.whole
  assert.ok(text.startsWith(chatEvents.slice(0, 2).map(frame).join('')))
  assert.doesNotMatch(text, /\[DONE\]/)
  const data = lastError(text)
  const id = client.headers['x-outrider-call']
  assert.equal(data.type, 'error')
  assert.equal(data.code, 'stream_interrupted')
  assert.equal(data.message, data.error.message)
  assert.match(
    data.error.message,
    new RegExp(`^Upstream fake failed: .*\\(reply_cut, 1 attempt, after \\d+\\.\\d s, call ${String(id)}\\)$`),
  )
  assert.deepEqual({ ...data.error, message: '' }, { message: '', type: 'upstream_error', param: null, code: 'stream_interrupted' })
  const { kind, fault, call, upstream: name, attempts } = data.outrider
  assert.deepEqual({ kind, fault, call, name, attempts }, { kind: 'reply_cut', fault: 'upstream', call: id, name: 'fake', attempts: 1 })
  const line = await sidecar.callLine(0)
  assert.equal(line['error'], 'reply_cut')
  assert.equal(line['status'], 200)
})

eachCut('the error of a responses stream has a number above the last one', async (t, cut) => {
  const upstream = await provider(t, [cutAfter(...responseEvents), endAfter(...responseEvents.slice(0, 1))], { cut })
  const sidecar = await startSidecar(t, upstream.url)
  for (const expected of [31, 1]) {
    const client = await openStream(t, sidecar.port, { path: '/responses' })
    assert.equal(lastError(await client.whole).sequence_number, expected)
  }
})

eachCut("the error of a messages stream has Anthropic's form", async (t, cut) => {
  const upstream = await provider(t, [cutAfter(...messageEvents), stallAfter(...messageEvents)], { cut })
  const sidecar = await startSidecar(t, upstream.url, { timeouts: { idle: '200ms' } })
  for (const [kind, type] of [
    ['reply_cut', 'api_error'],
    ['idle_timeout', 'timeout_error'],
  ]) {
    const client = await openStream(t, sidecar.port, { path: '/messages?beta=true' })
    const data = lastError(await client.whole)
    assert.deepEqual(Object.keys(data), ['type', 'error', 'request_id', 'outrider'])
    assert.equal(data.type, 'error')
    assert.deepEqual(Object.keys(data.error), ['type', 'message'])
    assert.equal(data.error.type, type)
    assert.equal(data.request_id, client.headers['x-outrider-call'])
    assert.equal(data.outrider.kind, kind)
  }
})

eachCut('a failure of the sidecar does not blame the upstream', async (t, cut) => {
  const stream = paced()
  const upstream = await provider(t, [stream], { cut })
  const sidecar = await startSidecar(t, upstream.url, { drain: { grace: '1s' } })
  const opened = openStream(t, sidecar.port)
  await stream.send(chatEvents[0] ?? '')
  const client = await opened
  await sidecar.proxy.drain()
  const data = lastError(await client.whole)
  assert.equal(data.outrider.kind, 'draining')
  assert.equal(data.outrider.fault, 'sidecar')
  assert.match(data.error.message, /^Outrider \(the sidecar\) failed/)
  assert.notEqual(data.error.type, 'upstream_error')
  await stream.closed
})

for (const [name, events, read] of [
  ['chat', chatEvents, readChat],
  ['responses', responseEvents, readResponses],
] as const) {
  eachCut(`the SDK of OpenAI raises an APIError wherever a ${name} stream is cut`, async (t, cut) => {
    // Behind every event, and in the middle of the next one.
    const cuts: Step[] = []
    // A chat that has told its finish reason is whole.
    const last = name === 'chat' ? events.length - 1 : events.length
    for (let n = 1; n <= last; n++) {
      const sent: Event[] = events.slice(0, n)
      const next = events[n]
      cuts.push(cutAfter(...sent), cutInside(sent, next === undefined ? 'data: {"x' : frame(next).slice(0, -20)), endAfter(...sent))
    }
    const upstream = await provider(t, cuts, { cut })
    const sidecar = await startSidecar(t, upstream.url)
    for (const _cut of cuts) await assert.rejects(read(sidecar), isInterrupted)
  })
}

function cutInside(events: readonly Event[], part: string): Step {
  return async (exchange) => {
    const { res, reset, body } = exchange
    await body
    res.writeHead(200, { 'content-type': 'text/event-stream' })
    res.write(events.map(frame).join('') + part, () => {
      setImmediate(reset)
    })
  }
}

eachCut('the SDK of OpenAI raises an APIError with a status when a stream is cut before its first event', async (t, cut) => {
  const upstream = await provider(t, [cutAfter(), cutInside([], 'data: {"x')], { cut })
  const sidecar = await startSidecar(t, upstream.url)
  for (let n = 0; n < 2; n++) {
    await assert.rejects(readChat(sidecar), (err) => err instanceof APIError && err.status === 502 && err.code === 'reply_cut')
  }
})

eachCut('an error behind an event that passed in parts stands in a block of its own', async (t, cut) => {
  const upstream = await provider(t, [cutInside([], `data: ${'x'.repeat(4_000)}`)], { cut })
  const sidecar = await startSidecar(t, upstream.url, { streams: { longestEvent: '1KiB' } })
  const client = await openStream(t, sidecar.port)
  const text = await client.whole
  assert.match(text, /^data: x{4000}\n\nevent: error\n/)
  assert.equal(lastError(text).outrider.kind, 'reply_cut')
})

eachCut('a whole chat and a whole responses stream raise nothing', async (t, cut) => {
  const upstream = await provider(
    t,
    [endAfter(...chatEvents, '[DONE]'), endAfter(...chatEvents), endAfter(...responseEvents, { type: 'response.completed' })],
    { cut },
  )
  const sidecar = await startSidecar(t, upstream.url)
  assert.equal(await readChat(sidecar), chatEvents.length)
  assert.equal(await readChat(sidecar), chatEvents.length)
  assert.equal(await readResponses(sidecar), responseEvents.length + 1)
})
