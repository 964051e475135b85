import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { connect, type AddressInfo } from 'node:net'
import { test, type TestContext } from 'node:test'
import fc from 'fast-check'
import { requestHead, type RequestHead } from '../../sidecar/proxy/serve/requestHead.ts'

type Parsed = { readonly raw: readonly string[]; readonly head: RequestHead }

/** Sends lines over a socket and has what Node parsed of them sorted out. */
async function parser(t: TestContext): Promise<(lines: readonly (readonly [string, string])[]) => Promise<Parsed>> {
  let tell = (_req: IncomingMessage): void => {}
  const server = createServer({ requireHostHeader: false, shouldUpgradeCallback: () => false })
  const onRequest = (req: IncomingMessage, _res: ServerResponse): void => {
    tell(req)
  }
  server.on('request', onRequest).on('checkContinue', onRequest).on('checkExpectation', onRequest)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  return (lines) =>
    new Promise((give, refuse) => {
      const socket = connect(port, '127.0.0.1')
      socket.on('error', refuse).on('close', () => {
        refuse(new Error('Node refused the header'))
      })
      tell = (req) => {
        try {
          give({ raw: req.rawHeaders, head: requestHead(req, 100) })
        } catch (err) {
          refuse(err as Error)
        }
        req.socket.destroy()
      }
      const text = ['GET /v1/models HTTP/1.1', 'Host: sidecar', ...lines.map(([name, value]) => `${name}: ${value}`), '', '']
      socket.write(Buffer.from(text.join('\r\n'), 'latin1'))
    })
}

/** Any letter case: names mean the same in each. */
const inAnyCase = (names: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc.tuple(names, fc.infiniteStream(fc.boolean())).map(([name, ups]) => {
    const up = ups[Symbol.iterator]()
    return name
      .split('')
      .map((letter) => (up.next().value === true ? letter.toUpperCase() : letter))
      .join('')
  })

const ours = ['x-outrider-route', 'X-Outrider-'] as const
const ordinary = ['accept', 'user-agent', 'x-custom', 'openai-organization', 'x-stainless-lang', 'content-type', 'close', 'x-b'] as const
const forThisHop = ['keep-alive', 'proxy-connection', 'proxy-authorization', 'te', 'trailer', 'upgrade', 'http2-settings'] as const
const secret = ['cookie', 'authorization', 'api-key', 'x-api-key', 'x-goog-api-key'] as const
const takenOut = new Set<string>([
  ...forThisHop,
  ...secret,
  'host',
  'expect',
  'content-length',
  'transfer-encoding',
  'connection',
  'traceparent',
])

/** All that Node's parser lets through in a value. */
const anyValue = fc.string({
  unit: fc
    .oneof({ weight: 8, arbitrary: fc.integer({ min: 0x20, max: 0x7e }) }, fc.integer({ min: 0x80, max: 0xff }), fc.constant(0x09))
    .map((code) => String.fromCharCode(code)),
  maxLength: 30,
})
const anyNumber = fc.oneof(
  fc.double().map(String),
  fc.integer().map(String),
  fc.constantFrom(
    '',
    '0',
    '-0',
    '-1',
    '600',
    '1e999',
    '-Infinity',
    'Infinity',
    'NaN',
    '0x10',
    '0b1',
    '1_000',
    '1,5',
    ' 5 ',
    '+7',
    '5e-324',
    '999999.9',
    '1e6',
    '10n',
  ),
  anyValue,
)
const anyToken = fc.oneof(
  inAnyCase(fc.constantFrom(...ordinary, ...forThisHop, 'x-stainless-timeout', 'x-stainless-read-timeout')),
  fc.string({ maxLength: 6, unit: fc.integer({ min: 0x20, max: 0x7e }).map((code) => String.fromCharCode(code)) }),
)
const anyList = fc
  .array(fc.tuple(fc.constantFrom('', ' ', '\t', '  '), anyToken), { maxLength: 5 })
  .map((all) => all.map(([space, token]) => `${space}${token}${space}`).join(','))

const line = (names: readonly string[], values: fc.Arbitrary<string>): fc.Arbitrary<[string, string]> =>
  fc.tuple(inAnyCase(fc.constantFrom(...names)), values)
const lines = fc.array(
  fc.oneof(
    line(['x-stainless-timeout', 'x-stainless-read-timeout'], anyNumber),
    line(['connection'], anyList),
    line(['traceparent'], fc.oneof(fc.constant(`00-${'ab'.repeat(16)}-${'cd'.repeat(8)}-01`), anyValue)),
    line(['tracestate'], anyValue),
    line(['expect'], fc.oneof(fc.constantFrom('100-continue', '100-Continue', '', '100-continue, 100-continue'), anyValue)),
    line([...ordinary, ...ours, ...forThisHop, ...secret], anyValue),
  ),
  { maxLength: 12 },
)

const pairsOf = (flat: readonly string[]): [string, string][] =>
  Array.from({ length: flat.length / 2 }, (_none, n) => [flat[2 * n] ?? '', flat[2 * n + 1] ?? ''])

test('whatever a header says, its timeouts are usable, what is for this hop goes no further, and all the rest does', async (t) => {
  const parse = await parser(t)
  await fc.assert(
    fc.asyncProperty(lines, async (sent) => {
      const { raw, head } = await parse(sent)
      assert.equal(raw.length, 2 * (sent.length + 1), 'the parser gives every line')
      const all = pairsOf(raw).map(([name, value]) => [name, value, name.toLowerCase()] as const)
      const valuesOf = (wanted: string): string[] => all.filter(([, , name]) => name === wanted).map(([, value]) => value)

      const { timeoutMs, readTimeoutMs } = head.wishes
      for (const ms of [timeoutMs, readTimeoutMs]) assert.ok(Number.isFinite(ms) && ms >= 0, String(ms))

      const named = new Set(
        valuesOf('connection')
          .flatMap((value) => value.split(','))
          .map((token) => token.replaceAll(/^[ \t]+|[ \t]+$/g, '').toLowerCase()),
      )
      const kept = all.filter(([, , name]) => !takenOut.has(name) && !named.has(name) && !name.startsWith('x-outrider-'))
      const span = head.headers.at(-1) ?? ''
      assert.match(span, /^00-[0-9a-f]{32}-[0-9a-f]{16}-0[0-3]$/)
      assert.equal(head.trace.continued, valuesOf('traceparent').length === 1 && valuesOf('traceparent')[0]?.includes(head.trace.id))
      const passed = kept.filter(([, , name]) => name !== 'tracestate' || head.trace.continued)
      assert.deepEqual(pairsOf(head.headers), [...passed.map(([name, value]) => [name, value]), ['traceparent', span]])

      const values = valuesOf('expect')
      const first = values.findIndex((value) => value !== '')
      const asks = first >= 0
      assert.equal(head.asksFirst, asks)
      const understood = !asks || values.slice(first).join().toLowerCase() === '100-continue'
      assert.equal(head.problem?.kind, understood ? undefined : 'expectation_failed')
    }),
    { numRuns: 1_000 },
  )
})

test('a timeout that is a number of seconds is taken as one, a little longer, and everything else is no timeout', async (t) => {
  const parse = await parser(t)
  for (const [text, ms] of [
    ['600', 600_250],
    ['0.25', 500],
    ['0', 0],
    ['-1', 0],
    ['1e6', 0],
    ['Infinity', 0],
    ['NaN', 0],
    ['NOT_GIVEN', 0],
    ['', 0],
  ] as const) {
    const { head } = await parse([
      ['X-Stainless-Timeout', text],
      ['X-Stainless-Read-Timeout', text],
    ])
    assert.deepEqual([head.wishes.timeoutMs, head.wishes.readTimeoutMs], [ms, ms], text)
  }
})
