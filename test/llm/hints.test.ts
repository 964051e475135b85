import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Headers } from '../../sidecar/proxy/call.ts'
import { waitHint } from '../../sidecar/proxy/llm/hints.ts'

const now = Date.parse('2026-11-20T12:00:00Z')
const hint = (headers: Headers, body?: unknown): number | undefined =>
  waitHint(headers, body === undefined ? undefined : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)), now)

const told: readonly (readonly [string, Headers, number])[] = [
  ['milliseconds of OpenAI', { 'retry-after-ms': '1500', 'retry-after': '60' }, 1_500],
  ['milliseconds of Azure', { 'x-ms-retry-after-ms': '250.5', 'retry-after': '1' }, 250.5],
  ['seconds', { 'retry-after': '20' }, 20_000],
  ['parts of seconds', { 'retry-after': '0.5' }, 500],
  ['no wait at all', { 'retry-after': '0' }, 0],
  ['the first of two headers', { 'retry-after': ['7', '8'] }, 7_000],
  ['a date', { 'retry-after': 'Fri, 20 Nov 2026 12:00:30 GMT' }, 30_000],
  ['a date of the old form', { 'retry-after': 'Friday, 20-Nov-26 12:00:31 GMT' }, 31_000],
  ['a date of the oldest form', { 'retry-after': 'Fri Nov 20 12:00:32 2026' }, 32_000],
  [
    'a date by the clock of the upstream',
    { 'retry-after': 'Fri, 20 Nov 2026 11:00:30 GMT', date: 'Fri, 20 Nov 2026 11:00:00 GMT' },
    30_000,
  ],
  ['a reset since 1970 in seconds', { 'x-ratelimit-reset': String(now / 1_000 + 9) }, 9_000],
  ['a reset since 1970 in ms', { 'x-ratelimit-reset': String(now + 900) }, 900],
  ['a reset in seconds from now', { 'x-ratelimit-reset': '12', 'x-ratelimit-remaining': '0' }, 12_000],
  ['the reset of an older draft', { 'ratelimit-reset': '13', 'ratelimit-remaining': '0' }, 13_000],
  ['the policy of which nothing remains', { ratelimit: '"minute";r=0;t=30, "day";r=900;t=4000' }, 30_000],
  [
    'the bucket of OpenAI that is empty',
    {
      'x-ratelimit-remaining-requests': '0',
      'x-ratelimit-reset-requests': '7.66s',
      'x-ratelimit-remaining-tokens': '12000',
      'x-ratelimit-reset-tokens': '6m0s',
    },
    7_660,
  ],
  [
    'the later of two empty buckets',
    {
      'x-ratelimit-remaining-requests': '0',
      'x-ratelimit-reset-requests': '12ms',
      'x-ratelimit-remaining-tokens': '0',
      'x-ratelimit-reset-tokens': '1h2m3s',
    },
    3_723_000,
  ],
  [
    'the later of two buckets of which nobody says how full they are',
    { 'x-ratelimit-reset-requests': '1s', 'x-ratelimit-reset-tokens': '6m0s' },
    360_000,
  ],
  ['whole seconds of Azure', { 'x-ratelimit-remaining-tokens': '-1', 'x-ratelimit-reset-tokens': '17' }, 17_000],
  [
    'the empty bucket of Anthropic',
    {
      'anthropic-ratelimit-requests-remaining': '40',
      'anthropic-ratelimit-requests-reset': '2026-11-20T13:00:00Z',
      'anthropic-ratelimit-input-tokens-remaining': '0',
      'anthropic-ratelimit-input-tokens-reset': '2026-11-20T12:00:05Z',
    },
    5_000,
  ],
]

for (const [what, headers, ms] of told) {
  test(`a hint is heard: ${what}`, () => {
    assert.equal(hint(headers), ms)
  })
}

const nonsense: readonly Headers[] = [
  {},
  { 'retry-after': '-5' },
  { 'retry-after': 'soon' },
  { 'retry-after': '' },
  { 'retry-after': 'NaN' },
  { 'retry-after': '9'.repeat(400) },
  { 'retry-after': 'Fri, 20 Nov 2026 11:59:00 GMT' },
  { 'retry-after-ms': '-1' },
  { 'retry-after-ms': '1e3' },
  { 'x-ratelimit-reset': String(now / 1_000 - 60) },
  { 'x-ratelimit-reset': '5', 'x-ratelimit-remaining': '7' },
  { 'x-ratelimit-reset-tokens': '-1' },
  { 'x-ratelimit-reset-tokens': '6m0s', 'x-ratelimit-remaining-tokens': '500' },
  { 'anthropic-ratelimit-tokens-reset': '2020-01-01T00:00:00Z' },
  { ratelimit: '"day";r=900;t=4000' },
]

for (const headers of nonsense) {
  test(`no hint is made of ${JSON.stringify(headers).slice(0, 80)}`, () => {
    assert.equal(hint(headers), undefined)
  })
}

test('nonsense in one header leaves the word of the next', () => {
  assert.equal(hint({ 'retry-after-ms': 'x', 'retry-after': '-1', 'x-ratelimit-reset-requests': '2s' }), 2_000)
})

const said: readonly (readonly [unknown, number])[] = [
  [{ error: { message: 'Rate limit reached for gpt-x. Limit 3. Please try again in 20s. Visit …' } }, 20_000],
  [{ error: { message: 'Please try again in 6m0s.' } }, 360_000],
  [{ error: { message: 'try again in 1.898s' } }, 1_898],
  [{ error: { message: 'Try again in 12ms' } }, 12],
  [{ error: { message: 'Please retry after 26 seconds.' } }, 26_000],
  [{ error: { message: 'Retry after 1 minute' } }, 60_000],
  [{ error: { message: 'try again in 3 hours' } }, 10_800_000],
  [{ error: { message: 'retry after 4' } }, 4_000],
  [[{ error: { code: 429, message: 'Please retry in 34.07s', details: [{ '@type': 'RetryInfo', retryDelay: '34s' }] } }], 34_000],
]

for (const [body, ms] of said) {
  test(`the text counts where no header says anything: ${JSON.stringify(body).slice(0, 80)}`, () => {
    assert.equal(hint({}, body), ms)
    assert.equal(hint({ 'retry-after': '1' }, body), 1_000)
  })
}

test('a text without a time is no hint', () => {
  for (const body of ['try again later', 'Please retry after a while', '<html>503</html>', 'try again in -3s', '{"retryDelay":"soon"}']) {
    assert.equal(hint({}, body), undefined, body)
  }
})

test('whatever an upstream sends, a hint is a number of ms from zero up, or none', () => {
  const names = fc.constantFrom(
    'retry-after',
    'retry-after-ms',
    'date',
    'x-ratelimit-reset',
    'x-ratelimit-reset-tokens',
    'x-ratelimit-remaining-tokens',
    'anthropic-ratelimit-tokens-reset',
    'ratelimit',
  )
  const value = fc.oneof(
    fc.string(),
    fc.double().map(String),
    fc.integer().map((n) => `${n}s`),
    fc.date().map(String),
    fc.constantFrom('"a";r=0;t=-3', '1h1h1h', '-0', 'Fri, 99 Nov 2026', '2026-13-40T99:99:99Z'),
  )
  const texts = fc.tuple(fc.constantFrom('try again in ', 'retry after ', '"retryDelay":"'), value).map((all) => all.join(''))
  fc.assert(
    fc.property(fc.dictionary(names, fc.oneof(value, fc.array(value))), fc.option(texts, { nil: undefined }), (headers, text) => {
      const ms = hint(headers, text)
      assert.ok(ms === undefined || (Number.isFinite(ms) && ms >= 0), String(ms))
    }),
    { numRuns: 20_000 },
  )
})
