import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseEvents } from '../../sidecar/proxy/llm/sse.ts'
import { heardResponse, responseEvents } from '../fixtures/brokenResponses.ts'
import { chatEvents, heard, patientSettings } from '../fixtures/brokenStreams.ts'
import { frame, openStream as openEvents, writeEach, type Exchange, type Step } from '../fixtures/provider.ts'
import { ask, startUpstreams, type Upstreams } from '../fixtures/startUpstreams.ts'
import { lineEnds, oneByOne as oneByOneOf } from '../fixtures/streams.ts'

/** A stream, and where and how it breaks off. It travels in the prompt, so that one upstream serves all of them. */
interface Case {
  readonly text: string
  /** Where the first attempt cuts it into events, in UTF-16 units: halves of characters too. */
  readonly first: readonly number[]
  readonly second: readonly number[]
  /** Of the bytes of the first attempt. */
  readonly share: number
  readonly escaped: boolean
  readonly lineEnd: string
  readonly reset: boolean
  readonly oneByOne: boolean
}

const signs = [
  'a',
  'the ',
  ' ',
  '\n',
  '\r\n',
  '"',
  '\\',
  '\\u',
  'é',
  '漢字',
  '😀',
  '👩‍👩‍👧',
  '\u2028',
  'data: x\n\n',
  '{"a":',
  '[DONE]',
  '\t',
  'aa',
]
const cases: fc.Arbitrary<Case> = fc.record({
  text: fc.array(fc.constantFrom(...signs), { minLength: 1, maxLength: 20 }).map((parts) => parts.join('')),
  first: fc.array(fc.nat(60), { maxLength: 12 }),
  second: fc.array(fc.nat(60), { maxLength: 12 }),
  share: fc.nat(1_000).map((thousandths) => thousandths / 1_000),
  escaped: fc.boolean(),
  lineEnd: fc.constantFrom(...lineEnds),
  reset: fc.boolean(),
  // Rarely, since it takes a turn of the event loop for each byte.
  oneByOne: fc.constantFrom(true, ...Array.from({ length: 9 }, () => false)),
})

function pieces(text: string, places: readonly number[]): string[] {
  const cuts = [...new Set([0, ...places.filter((at) => at < text.length), text.length])].toSorted((one, other) => one - other)
  return cuts.slice(1).map((to, n) => text.slice(cuts[n], to))
}

interface Body {
  readonly messages?: readonly { readonly role: string; readonly content: string }[]
  readonly prompt?: string
  readonly input?: string | readonly [{ readonly content: string }, { readonly content: readonly { readonly text: string }[] }]
}

/** How one kind of stream is written and read. */
interface Kind {
  readonly path: string
  readonly events: (words: readonly string[], id: string) => string[]
  /** The beginning that the model is to go on from. */
  readonly prefix: (body: Body) => string
  readonly read: (stream: string) => { text: string; whole: boolean; one: boolean }
  readonly ask: (prompt: string) => object
}

const chatKind: Kind = {
  path: '/chat/completions',
  events: (words, id) => chatEvents(words, { id }),
  prefix: ({ messages }) => (messages?.at(-1)?.role === 'assistant' ? (messages.at(-1)?.content ?? '') : ''),
  read: (stream) => {
    const { text, done, heads, roles, error, finishes } = heard(stream)
    return { text, whole: done === 1 && error === undefined && finishes.length === 1, one: heads.length === 1 && roles === 1 }
  },
  ask: (content) => ({ messages: [{ role: 'user', content }] }),
}

const completionsKind: Kind = {
  ...chatKind,
  path: '/completions',
  events: (words, id) =>
    [
      ...words.map((text) => ({ id, choices: [{ index: 0, text, finish_reason: null }] })),
      { id, choices: [{ index: 0, text: '', finish_reason: 'stop' }] },
      '[DONE]',
    ].map(frame),
  prefix: ({ prompt = '' }) => prompt.slice(prompt.indexOf('\u0000') + 1),
  read: (stream) => ({ ...chatKind.read(stream), one: heard(stream).heads.length === 1 }),
  ask: (prompt) => ({ prompt: `${prompt}\u0000` }),
}

const messagesKind: Kind = {
  ...chatKind,
  path: '/messages',
  events: (words, id) =>
    [
      { type: 'message_start', message: { id, role: 'assistant', content: [], usage: { input_tokens: 3, output_tokens: 1 } } },
      { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
      { type: 'ping' },
      ...words.map((text) => ({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text } })),
      { type: 'content_block_stop', index: 0 },
      { type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 5 } },
      { type: 'message_stop' },
    ].map(frame),
  read: (stream) => {
    const events = parseEvents(stream)
    const count = (type: string): number => events.filter(({ event }) => event === type).length
    const text = events.map(({ data }) => (JSON.parse(data) as { delta?: { text?: string } }).delta?.text ?? '').join('')
    const one = count('message_start') === 1 && count('content_block_start') === 1
    // The text is whole, and what stands behind it is for the one who began it to say.
    const unended = count('content_block_stop') === 1 && count('error') === 1
    return { text, whole: unended || (count('message_stop') === 1 && count('content_block_stop') === 1 && count('error') === 0), one }
  },
}

const responsesKind: Kind = {
  path: '/responses',
  events: (words, id) => responseEvents(words, { id }),
  prefix: ({ input }) => (typeof input === 'object' ? (input[1].content[0]?.text ?? '') : ''),
  read: (stream) => {
    const { text, types, heads, ids, last, error } = heardResponse(stream)
    const unended = types.includes('output_text.done') && error !== undefined
    return { text, whole: unended || (last !== undefined && error === undefined), one: heads.length === 1 && ids.length === 1 }
  },
  ask: (input) => ({ input }),
}

function caseOf({ prompt, messages, input }: Body): Case {
  const said = typeof input === 'object' ? input[0].content : (input ?? prompt ?? messages?.[0]?.content ?? '')
  return JSON.parse(said.split('\u0000')[0] ?? '') as Case
}

const asked = async ({ body }: Exchange): Promise<Body> => JSON.parse((await body).toString()) as Body

const breaking =
  ({ events }: Kind): Step =>
  async (exchange) => {
    const { text, first, share, escaped, lineEnd, reset, oneByOne } = caseOf(await asked(exchange))
    const written = events(pieces(text, first), 'first').join('').replaceAll('\n', lineEnd)
    const bytes = Buffer.from(escaped ? written.replaceAll(/[^\0-\x7f]/g, asEscape) : written)
    openEvents(exchange)
    const sent = bytes.subarray(0, Math.floor(share * bytes.length))
    const middle = Math.floor(sent.length / 2)
    await writeEach(exchange, oneByOne ? oneByOneOf(sent) : [sent.subarray(0, middle), sent.subarray(middle)])
    exchange.leave()
    if (reset) exchange.reset()
    else exchange.socket.end()
  }

const asEscape = (character: string): string => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`

const goingOn =
  ({ events, prefix }: Kind, echoes: boolean): Step =>
  async (exchange) => {
    const body = await asked(exchange)
    const { text, second, lineEnd } = caseOf(body)
    const before = prefix(body)
    // What is asked for wrongly is answered so that nobody could take it for right.
    const isRight = text.startsWith(before) && before.isWellFormed()
    openEvents(exchange)
    const words = isRight ? pieces(echoes ? text : text.slice(before.length), second) : ['asked to go on from what was never said']
    await writeEach(exchange, [events(words, 'second').join('').replaceAll('\n', lineEnd)])
    exchange.res.end()
  }

const runs = 120

for (const [name, kind, continues] of [
  ['a chat, continued', chatKind, 'assistant'],
  ['a chat, continued by one that begins with what it was given', chatKind, 'echoed_prefix'],
  ['a chat, said again', chatKind, 'off'],
  ['a text completion, continued', completionsKind, 'off'],
  ['messages, continued', messagesKind, 'assistant'],
  ['messages, said again', messagesKind, 'off'],
  ['a response, continued', responsesKind, 'continue_final_message'],
  ['a response, said again', responsesKind, 'off'],
] as const) {
  test(`${name}: cut at any byte, the client has every character once`, async (t) => {
    const upstreams: Upstreams = await startUpstreams(t, [breaking(kind), goingOn(kind, continues === 'echoed_prefix')], patientSettings, [
      {},
      { continues },
    ])
    const told = async (one: Case): Promise<void> => {
      const { text: stream } = await ask(
        upstreams.sidecar,
        { stream: true, messages: undefined, ...kind.ask(JSON.stringify(one)) },
        {},
        kind.path,
      )
      const { text, whole, one: isOne } = kind.read(stream)
      assert.deepEqual({ text, whole, isOne }, { text: one.text, whole: true, isOne: true }, stream)
    }
    await fc.assert(fc.asyncProperty(cases, told), { numRuns: runs })
    const metrics = await (await fetch(`${upstreams.sidecar.adminUrl}/metrics`)).text()
    const resumed = [...metrics.matchAll(/^outrider_resumes_total\{.*result="resumed"\} (\d+)$/gm)].reduce(
      (sum, [, n]) => sum + Number(n),
      0,
    )
    assert.ok(resumed > runs / 5, `only ${resumed} of ${runs} were resumed`)
  })
}
