import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { alone, bothFail, good, healthOf, isGood, metric, takenOver, triedOf } from '../../fixtures/failing.ts'
import { answers, chat, type Fields } from '../../fixtures/provider.ts'
import { ask, askedOf, served, startUpstreams } from '../../fixtures/startUpstreams.ts'

const said = (message = 'slow down'): object => ({ error: { message, type: 'rate_limit_error', param: null, code: null } })
const limited = (headers: Fields, message?: string) => answers(429, said(message), headers)

suite('429', { concurrency: true }, () => {
  const failing = { step: limited({ 'retry-after': '60' }), outcome: 429, state: 'limited', attempts: 1, status: 429 }
  test('another upstream takes over, and all that is told of it is true', (t) => takenOver(t, failing))
  test('where both have it, the answer of the last is passed on', (t) => bothFail(t, failing))
  test('where nobody else is there and the wait is long, it is passed on at once', (t) => alone(t, failing))
})

/** By the clock of the upstream, which is years away from ours. */
const date = 'Fri, 01 Jan 2021 00:00:00 GMT'
const zero = Date.parse(date)

const hints: readonly (readonly [string, string, Fields, string?])[] = [
  ['Retry-After in seconds', '30.0', { 'retry-after': '30' }],
  ['Retry-After as a date', '40.0', { date, 'retry-after': 'Fri, 01 Jan 2021 00:00:40 GMT' }],
  ['retry-after-ms', '12.5', { 'retry-after-ms': '12500', 'retry-after': '90' }],
  ['x-ms-retry-after-ms', '7.5', { 'x-ms-retry-after-ms': '7500', 'retry-after': '90' }],
  ['x-ratelimit-reset-requests', '90.0', { 'x-ratelimit-remaining-requests': '0', 'x-ratelimit-reset-requests': '1m30s' }],
  [
    'x-ratelimit-reset-tokens, as only the tokens are used up',
    '6.5',
    {
      'x-ratelimit-remaining-requests': '9',
      'x-ratelimit-reset-requests': '8h',
      'x-ratelimit-remaining-tokens': '0',
      'x-ratelimit-reset-tokens': '6.5s',
    },
  ],
  ['x-ratelimit-reset in seconds since 1970', '25.0', { date, 'x-ratelimit-reset': String(zero / 1_000 + 25) }],
  ['x-ratelimit-reset in ms since 1970', '26.5', { date, 'x-ratelimit-reset': String(zero + 26_500) }],
  [
    'anthropic-ratelimit-requests-reset',
    '33.0',
    { date, 'anthropic-ratelimit-requests-remaining': '0', 'anthropic-ratelimit-requests-reset': '2021-01-01T00:00:33Z' },
  ],
  ['the text of the error', '6.0', {}, 'Rate limit reached. Please try again in 6s.'],
  ['a header, whatever the text says', '20.0', { 'retry-after': '20' }, 'Please try again in 6s.'],
  ['a day, which may be a mistake', '300.0', { 'retry-after': '86400' }],
  ['no hint', '2.0', {}],
  ['nonsense', '2.0', { 'retry-after': '-5', 'retry-after-ms': 'soon' }],
]

suite('an upstream is left alone for as long as it says: by', { concurrency: true }, () => {
  for (const [name, seconds, headers, message] of hints) {
    test(name, async (t) => {
      const { sidecar, providers } = await startUpstreams(t, [limited(headers, message), good])
      for (let n = 0; n < 3; n++) isGood(await ask(sidecar))
      assert.deepEqual(askedOf(providers), [1, 3])
      await sidecar.logged(`upstream a is limited for ${seconds} s: status 429`)
      assert.equal((await healthOf(sidecar))[0]?.state, 'limited')
    })
  }
})

suite('with nobody else, a short wait is waited, and the call is repeated not before it is over: by', { concurrency: true }, () => {
  for (const [name, headers, message] of [
    ['Retry-After', { 'retry-after': '0.3' }],
    ['retry-after-ms', { 'retry-after-ms': '300' }],
    ['x-ratelimit-reset-requests', { 'x-ratelimit-remaining-requests': '0', 'x-ratelimit-reset-requests': '300ms' }],
    ['the text of the error', {}, 'Please try again in 300ms.'],
  ] as const) {
    test(name, async (t) => {
      const { sidecar, providers } = await startUpstreams(t, [[limited(headers, message), chat('a')]])
      const told = await ask(sidecar)
      assert.deepEqual([told.status, ...served(told)], [200, 'a', '2'])
      const [first, second] = providers[0]?.seen ?? []
      assert.ok((second?.at ?? 0) - (first?.at ?? 0) >= 295)
    })
  }
})

test('the answer that is passed on keeps its hint', async (t) => {
  const { sidecar } = await startUpstreams(t, [limited({ 'retry-after': '60' })])
  const told = await ask(sidecar)
  assert.deepEqual([told.status, told.headers.get('retry-after'), told.text], [429, '60', JSON.stringify(said())])
})

test('a wait that leaves no time for the attempt behind it is not waited', async (t) => {
  const { sidecar, providers } = await startUpstreams(t, [limited({ 'retry-after': '4' })], { timeouts: { total: '5s' } })
  const told = await ask(sidecar)
  assert.deepEqual([told.status, told.headers.get('x-outrider-not-repeated')], [429, 'deadline'])
  assert.deepEqual(askedOf(providers), [1])
  assert.equal(await metric(sidecar, 'outrider_retries_refused_total{reason="deadline"}'), 1)
})

test('a client that leaves during the wait is not called for any more', async (t) => {
  const { sidecar, providers } = await startUpstreams(t, [limited({ 'retry-after': '8' })])
  const leaving = new AbortController()
  const asked = fetch(`${sidecar.url}/chat/completions`, {
    method: 'POST',
    body: '{"model":"m"}',
    headers: { 'content-type': 'application/json' },
    signal: leaving.signal,
  })
  await sidecar.logged('upstream a is limited')
  leaving.abort()
  await assert.rejects(asked)
  const { error, attempts } = await sidecar.callLine(0)
  assert.deepEqual([error, attempts], ['client_gone', 1])
  assert.deepEqual(askedOf(providers), [1])
  assert.deepEqual(await triedOf(sidecar), [['a', 429]])
})

test('limits are about one model of an upstream: its others are served', async (t) => {
  const { sidecar } = await startUpstreams(t, [[limited({ 'retry-after': '30' }), chat('a')], chat('b')])
  assert.deepEqual(served(await ask(sidecar, { model: 'one' })), ['b', '2'])
  assert.deepEqual(served(await ask(sidecar, { model: 'two' })), ['a', '1'])
})

test('when all are limited the one that is back first is asked, once', async (t) => {
  const { sidecar, providers } = await startUpstreams(t, [limited({ 'retry-after': '60' }), limited({ 'retry-after': '40' })])
  assert.deepEqual(served(await ask(sidecar)), ['b', '2'])
  assert.deepEqual(served(await ask(sidecar)), ['b', '1'])
  assert.deepEqual(askedOf(providers), [1, 2])
})

test('an upstream that forbids to repeat is not asked again, and another is', async (t) => {
  const forbids = answers(500, said(), { 'x-should-retry': 'false' })
  const { sidecar, providers } = await startUpstreams(t, [forbids, good])
  isGood(await ask(sidecar))
  const single = await startUpstreams(t, [forbids])
  assert.equal((await ask(single.sidecar)).status, 500)
  assert.deepEqual([askedOf(providers), askedOf(single.providers)], [[1, 1], [1]])
})
