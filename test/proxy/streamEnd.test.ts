import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { cutAfter, eachCut, noLength, paced, provider, sseBytes } from '../fixtures/provider.ts'
import { startSidecar } from '../fixtures/startSidecar.ts'
import { openStream } from '../fixtures/streamClient.ts'
import { chatText, doneText, lineEnds, oneByOne } from '../fixtures/streams.ts'

const usage = 'data: {"id":"c","choices":[],"usage":{"total_tokens":3}}\n\n'
const finished = chatText(['a', 'b'])
const unfinished = chatText(['a', 'b'], false)
const named = (type: string): string => `event: ${type}\ndata: {"type":"${type}"}\n\n`
const responses = [named('response.created'), named('response.output_text.delta')]
const messages = [named('message_start'), named('content_block_delta')]

interface Case {
  readonly path?: string
  readonly sent: readonly string[]
  /** What the client gets beyond what was sent; undefined where it gets an error. */
  readonly added?: string
}

const cases: Readonly<Record<string, Case>> = {
  'chat with [DONE]': { sent: [...finished, doneText], added: '' },
  'chat with usage and [DONE]': { sent: [...finished, usage, doneText], added: '' },
  'chat with a comment after [DONE]': { sent: [...finished, doneText, ': bye\n\n'], added: '' },
  'chat with [DONE] without its blank line': { sent: [...finished, 'data: [DONE]'], added: '\n\n' },
  'chat without [DONE]': { sent: finished, added: doneText },
  'chat with usage without [DONE]': { sent: [...finished, usage], added: doneText },
  'legacy completions without [DONE]': { path: '/completions', sent: finished, added: doneText },
  'chat that stops short': { sent: unfinished },
  'chat without any finish_reason but usage': { sent: [...unfinished, usage] },
  'responses completed': { path: '/responses', sent: [...responses, named('response.completed')], added: '' },
  'responses incomplete': { path: '/responses', sent: [...responses, named('response.incomplete')], added: '' },
  'responses failed': { path: '/responses', sent: [...responses, named('response.failed')], added: '' },
  'responses with an error': { path: '/responses', sent: [...responses, named('error')], added: '' },
  'responses that stop short': { path: '/responses', sent: responses },
  'messages stopped': { path: '/messages', sent: [...messages, named('message_stop')], added: '' },
  'messages with an error': { path: '/messages', sent: [...messages, 'event: error\ndata: {"type":"error","error":{}}\n\n'], added: '' },
  'messages that stop short': { path: '/messages', sent: messages },
  'chat with an error of the upstream': { sent: [...unfinished, 'data: {"error":{"message":"no"}}\n\n'], added: '' },
  'chat with an error in a chunk': {
    sent: [...unfinished, 'data: {"id":"c","error":{"code":502},"choices":[{"finish_reason":"error"}]}\n\n'],
    added: '',
  },
  'an unknown endpoint': { path: '/images/generations', sent: ['data: {"b64":"x"}\n\n'], added: '' },
}

const play = async (
  path: string | undefined,
  text: string,
  step: Parameters<typeof provider>[1],
  check: (got: string) => void,
  t: TestContext,
): Promise<void> => {
  const upstream = await provider(t, step)
  const sidecar = await startSidecar(t, upstream.url)
  const client = await openStream(t, sidecar.port, path === undefined ? {} : { path })
  assert.equal(client.status, 200, text)
  check(await client.whole)
}

for (const [name, { path, sent, added }] of Object.entries(cases)) {
  test(`${name}: ${added === undefined ? 'an error of ours ends it' : added === '' ? 'nothing is added' : `gets ${JSON.stringify(added)}`}`, async (t) => {
    for (const end of lineEnds) {
      const text = sent.join('').replaceAll('\n', end)
      for (const parts of [sent.map((event) => event.replaceAll('\n', end)), [text], oneByOne(text)]) {
        const check = (got: string): void => {
          if (added !== undefined) return assert.equal(got, text + added)
          assert.equal(got.slice(0, text.length), text)
          assert.match(got.slice(text.length), /^event: error\ndata: \{.*"stream_interrupted"|^event: error\ndata: \{"type":"error"/)
          assert.doesNotMatch(got, /\[DONE\]/)
        }
        await play(path, text, [sseBytes(...parts)], check, t)
      }
    }
  })
}

eachCut('a stream whose transfer has no end mark is whole by its marker alone', async (t, cut) => {
  const body = [...unfinished].join('')
  const cases: [string, RegExp][] = [
    [body + doneText, /data: \[DONE\]\n\n$/],
    [body, /^(?:data: .*\n\n)+event: error\n.*stream_interrupted.*\n\n$/],
    ['data: {"x":1}\n\n', /event: error\n.*stream_interrupted.*\n\n$/],
  ]
  const upstream = await provider(
    t,
    cases.map(([bytes]) => noLength(bytes, 'text/event-stream')),
    { cut },
  )
  const sidecar = await startSidecar(t, upstream.url)
  for (const [n, [, expected]] of cases.entries()) {
    const client = await openStream(t, sidecar.port, { path: n === 2 ? '/audio/speech' : '/chat/completions' })
    assert.match(await client.whole, expected)
  }
})

eachCut('a reset behind the marker of the end harms nobody', async (t, cut) => {
  const ends = [
    { path: '/chat/completions', last: '[DONE]', first: '{"choices":[]}' },
    { path: '/responses', first: { type: 'response.created' }, last: { type: 'response.completed' } },
    { path: '/messages', first: { type: 'message_start' }, last: { type: 'message_stop' } },
    { path: '/chat/completions', first: '{"choices":[]}', last: '{"error":{"message":"no"}}' },
  ]
  const upstream = await provider(
    t,
    ends.map(({ first, last }) => cutAfter(first, last)),
    { cut },
  )
  const sidecar = await startSidecar(t, upstream.url)
  for (const [n, { path }] of ends.entries()) {
    const client = await openStream(t, sidecar.port, { path })
    assert.doesNotMatch(await client.whole, /stream_interrupted|reply_cut/)
    assert.equal((await sidecar.callLine(n))['end'], 'complete')
  }
})

eachCut('an event that passes in parts marks the end only when it is whole', async (t, cut) => {
  const long = `event: response.completed\ndata: {"type":"response.completed","text":"${'x'.repeat(4_000)}`
  const start = responses.join('')
  const last = paced()
  const upstream = await provider(t, [sseBytes(start, long, '"}\n\n'), sseBytes(start, long), last], { cut })
  const sidecar = await startSidecar(t, upstream.url, { streams: { longestEvent: '1KiB' } })
  const whole = await openStream(t, sidecar.port, { path: '/responses' })
  assert.equal(await whole.whole, `${start}${long}"}\n\n`)
  const ended = await openStream(t, sidecar.port, { path: '/responses' })
  assert.match(await ended.whole, /xxx\n\nevent: error\n.*stream_interrupted/)
  const opened = openStream(t, sidecar.port, { path: '/responses' })
  await last.sendBytes(start + long)
  const broken = await opened
  await broken.until('xxx')
  await last.cut()
  assert.match(await broken.whole, /xxx\n\nevent: error\n.*stream_interrupted/)
})

for (const [path, first, last] of [
  ['/chat/completions', '{"choices":[]}', '[DONE]'],
  ['/responses', { type: 'response.created' }, { type: 'response.completed' }],
  ['/messages', { type: 'message_start' }, { type: 'message_stop' }],
] as const) {
  eachCut(`${path}: an upstream that keeps the connection of a finished stream open keeps nobody waiting`, async (t, cut) => {
    const stream = paced()
    const upstream = await provider(t, [stream], { cut })
    const sidecar = await startSidecar(t, upstream.url)
    const opened = openStream(t, sidecar.port, { path })
    await stream.send(first)
    await stream.send(last)
    await stream.sendBytes(': bye\n\n')
    const chatter = setInterval(() => {
      stream.sendBytes(': still open\n\n').catch(() => {})
    }, 100)
    t.after(() => {
      clearInterval(chatter)
    })
    const client = await opened
    // Without an end of ours it would go on for ever.
    const text = await client.whole
    assert.doesNotMatch(text, /stream_interrupted|idle_timeout/)
    assert.equal(await stream.closed, true, 'the upstream was told')
    assert.equal((await sidecar.callLine(0))['end'], 'complete')
  })
}
