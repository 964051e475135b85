import {
  answers,
  cutAfter,
  deaf,
  endAfter,
  endlessHeader,
  flood1xx,
  garbage,
  hangUp,
  noLength,
  rawUpstream,
  sseBytes,
  stall,
  stallAfter,
  stallAfterHead,
  tooShort,
  type Step,
} from '../../fixtures/provider.ts'
import { breaksAfter, chatEvents } from '../../fixtures/brokenStreams.ts'
import { chatCall, messagesCall, messagesStream, send, streamCall, type Asking } from '../asking.ts'
import { callScene } from '../callScene.ts'
import type { Chapter } from '../scene.ts'

const word = { choices: [{ index: 0, delta: { content: 'The' }, finish_reason: null }] }
const large: Asking = { path: '/v1/embeddings', body: JSON.stringify({ input: 'x'.repeat(16 * 1024 * 1024) }), shown: '16-MiB.json' }
const upload: Asking = {
  path: '/v1/files',
  headers: { 'content-type': 'multipart/form-data; boundary=b' },
  body: 'the first bytes of an upload',
  shown: 'form.bin',
  length: 1_000_000,
}
const hurried = (asking: Asking): Asking => ({ ...asking, headers: { 'x-stainless-timeout': '0.1' } })
const overloaded = { error: { message: 'The server is overloaded', type: 'server_error', code: null } }

/** The upstream is reached, and fails. */
export const answering: Chapter = {
  title: 'Upstreams that fail in their answer',
  scenes: [
    callScene('the upstream does not read the request', {
      kind: 'write_timeout',
      says: ['0.15 s', 'timeouts.write'],
      document: { timeouts: { write: '150ms' } },
      upstream: deaf(),
      asking: large,
    }),
    callScene('no event of a stream in time', {
      kind: 'first_event_timeout',
      says: ['0.15 s', 'timeouts.firstEvent'],
      document: { timeouts: { firstEvent: '150ms' } },
      upstream: stallAfterHead(),
      asking: streamCall,
    }),
    callScene('the same at /v1/messages, in the shape of Anthropic', {
      kind: 'first_event_timeout',
      says: ['timeout_error', '0.15 s'],
      document: { timeouts: { firstEvent: '150ms' } },
      upstream: stallAfterHead(),
      asking: messagesStream,
    }),
    callScene('no event of a stream in the time that the client gave it', {
      kind: 'first_event_timeout',
      says: ['0.35 s', 'the time that the client gave it (x-stainless-timeout'],
      upstream: stall(),
      asking: hurried(streamCall),
    }),
    callScene('no whole answer in time', {
      kind: 'total_timeout',
      says: ['0.15 s', 'timeouts.total'],
      document: { timeouts: { total: '150ms' } },
      upstream: stall(),
    }),
    callScene('no whole answer in the time that the client gave it', {
      kind: 'total_timeout',
      says: ['0.35 s', 'the time that the client gave it (x-stainless-timeout'],
      upstream: stall(),
      asking: hurried(chatCall),
    }),
    callScene('the upstream goes silent in the middle of its answer', {
      kind: 'idle_timeout',
      says: ['0.15 s', 'timeouts.idle'],
      document: { timeouts: { idle: '150ms' } },
      upstream: stallAfterHead({ 'content-type': 'application/json' }),
      onlyInLog: true,
    }),
    callScene('a kept connection is closed as it is used again', {
      kind: 'stale_connection',
      onlyInLog: true,
      says: ['stale_connection'],
      at: async (t) => {
        let connections = 0
        const ok = 'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}'
        const { url } = await rawUpstream(t, async (socket, bytes) => {
          const isFirst = ++connections === 1
          await bytes.until('"messages"')
          socket.write(ok)
          if (!isFirst) return
          await bytes.until((all) => all.toString('latin1').split('"messages"').length > 2)
          socket.end()
        })
        return { url }
      },
      act: async (t, { port }) => {
        await send(t, port, chatCall)
        return send(t, port, chatCall)
      },
      where: 'the second call on a connection that the upstream closes just then',
      calls: 2,
    }),
    callScene('a kept connection is closed as an upload is on its way', {
      kind: 'no_reply',
      says: ['kept connection', 'uploads are not kept'],
      at: async (t) => {
        const { url } = await rawUpstream(t, async (socket, bytes) => {
          await bytes.until('"messages"')
          socket.write('HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}')
          await bytes.until('of an upload')
          socket.end()
        })
        return { url }
      },
      asking: upload,
      act: async (t, { port }) => {
        await send(t, port, chatCall)
        return send(t, port, upload)
      },
      where: 'the second call on a connection that the upstream closes just then',
      calls: 2,
    }),
    callScene('the upstream hangs up without an answer', { kind: 'no_reply', says: ['without an answer'], upstream: hangUp() }),
    callScene('the upstream hangs up in the middle of a head', {
      kind: 'no_reply',
      says: ['in the middle of the head'],
      upstream: garbage('HTTP/1.1 200 OK\r\ncontent-ty'),
    }),
    callScene('the upstream answers with something that is not HTTP', {
      kind: 'bad_reply',
      says: ['not HTTP', 'does not begin with'],
      upstream: garbage(),
    }),
    callScene('the same at /v1/messages, in the shape of Anthropic', {
      kind: 'bad_reply',
      says: ['api_error'],
      upstream: garbage(),
      asking: messagesCall,
    }),
    callScene('a header without an end', { kind: 'bad_reply', says: ['not HTTP'], upstream: endlessHeader() }),
    callScene('a status below 100', { kind: 'bad_reply', says: ['status'], upstream: garbage('HTTP/1.1 099 What\r\n\r\n') }),
    callScene('interim answers without an end', { kind: 'bad_reply', says: ['20 interim answers'], upstream: flood1xx(Infinity) }),
    callScene('an answer that is shorter than its length', {
      kind: 'reply_cut',
      says: ['reply_cut'],
      upstream: tooShort(),
      onlyInLog: true,
    }),
    callScene('an answer without a length that is no whole JSON', {
      kind: 'reply_cut',
      says: ['no declared length'],
      upstream: noLength('{"id":"chat'),
      onlyInLog: true,
    }),
    callScene('an error of the upstream itself, which passes as it came', {
      says: ['503', 'The server is overloaded', 'x-outrider-not-repeated: attempts'],
      upstream: answers(503, overloaded),
    }),
  ],
}

const broken = (...words: string[]): Step => breaksAfter(...chatEvents(words, { id: 'chatcmpl-1', finish: false }))
const noResume = { routing: { resume: 'error' } }

/** The head is out: a failure can only be an event of the stream. */
export const streams: Chapter = {
  title: 'Streams that break off: the last event',
  scenes: [
    callScene('the connection is reset in the middle of a stream', {
      kind: 'reply_cut',
      says: ['event: error', 'broke off'],
      document: noResume,
      upstream: cutAfter(word),
      asking: streamCall,
    }),
    callScene('the same at /v1/messages, in the shape of Anthropic', {
      kind: 'reply_cut',
      says: ['event: error', '"type":"error"'],
      document: noResume,
      upstream: cutAfter({ type: 'message_start', message: { id: 'msg_1' } }),
      asking: messagesStream,
    }),
    callScene('a stream that ends without the marker of its end', {
      kind: 'reply_cut',
      says: ['without the marker of its end'],
      document: noResume,
      upstream: endAfter(word),
      asking: streamCall,
    }),
    callScene('a stream that ends before its first event', {
      kind: 'reply_cut',
      says: ['without an event'],
      upstream: sseBytes(': hello\n\n'),
      asking: streamCall,
    }),
    callScene('a stream that goes silent', {
      kind: 'idle_timeout',
      says: ['event: error', '0.15 s', 'timeouts.idle'],
      document: { timeouts: { idle: '150ms' }, ...noResume },
      upstream: stallAfter(word),
      asking: streamCall,
    }),
    callScene('a stream that goes silent for longer than its client waits', {
      kind: 'idle_timeout',
      says: ['0.35 s', 'the time that the client gave it (x-stainless-timeout'],
      document: noResume,
      upstream: stallAfter(word),
      asking: { ...streamCall, headers: { 'x-stainless-read-timeout': '0.1' } },
    }),
    callScene('a stream that is slower than streams.leastRate', {
      kind: 'idle_timeout',
      says: ['streams.leastRate', '1000 bytes'],
      document: { timeouts: { idle: '300ms' }, streams: { leastRate: '1000B' }, ...noResume },
      upstream: async (exchange) => {
        await sseDrip(exchange)
      },
      asking: streamCall,
    }),
    callScene('a stream that is longer than timeouts.streamTotal', {
      kind: 'total_timeout',
      says: ['event: error', '0.3 s', 'timeouts.streamTotal'],
      document: { timeouts: { streamTotal: '300ms' }, ...noResume },
      upstream: stallAfter(word),
      asking: streamCall,
    }),
    callScene('an event that is no JSON, where such end a stream', {
      kind: 'bad_reply',
      says: ['no JSON', 'streams.malformed'],
      document: { streams: { malformed: 'end' }, ...noResume },
      upstream: sseBytes(`data: ${JSON.stringify(word)}\n\n`, 'data: {"choices":[{"del\n\n'),
      asking: streamCall,
    }),
    callScene('another attempt fails too', {
      kind: 'reply_cut',
      says: ['Upstream south failed', 'broken off at upstream north'],
      document: { retry: { attempts: 2 } },
      upstream: broken('The ', 'quick '),
      others: [hangUp()],
      asking: streamCall,
    }),
    callScene('another attempt is answered with an error', {
      kind: 'reply_cut',
      says: ['Upstream south failed', 'status 500'],
      document: { retry: { attempts: 2 } },
      upstream: broken('The ', 'quick '),
      others: [answers(500, overloaded)],
      asking: streamCall,
    }),
    callScene('another attempt says something else', {
      kind: 'reply_cut',
      says: ['does not fit what the client has already'],
      document: { retry: { attempts: 2 } },
      upstream: broken('The ', 'quick '),
      others: [sseBytes(...chatEvents(['A lazy dog'], { id: 'chatcmpl-2' }))],
      asking: streamCall,
    }),
  ],
}

const sseDrip: Step = async ({ res, body, seen }) => {
  await body
  res.writeHead(200, { 'content-type': 'text/event-stream' })
  const drip = setInterval(() => {
    if (seen.aborted) clearInterval(drip)
    else res.write(`data: ${JSON.stringify(word)}\n\n`)
  }, 100)
  res.on('close', () => {
    clearInterval(drip)
  })
}
