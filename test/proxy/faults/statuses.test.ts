import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { answers, chat } from '../../fixtures/provider.ts'
import { ask, askedOf, served, startUpstreams } from '../../fixtures/startUpstreams.ts'

const error = (message: string, more: object = {}): object => ({ error: { message, type: 'x', param: null, code: null, ...more } })

suite('another upstream takes over when the first answers with', { concurrency: true }, () => {
  for (const status of [408, 409, 429, 500, 502, 503, 504, 529]) {
    test(String(status), async (t) => {
      const { sidecar, providers } = await startUpstreams(t, [answers(status, error('no')), chat('from b')])
      const told = await ask(sidecar)
      assert.equal(told.status, 200, told.text)
      assert.match(told.text, /from b/)
      assert.deepEqual(served(told), ['b', '2'])
      assert.deepEqual(askedOf(providers), [1, 1])
      // Byte for byte the same.
      assert.deepEqual(providers[1]?.seen[0]?.body, providers[0]?.seen[0]?.body)
    })
  }
  test('402, for its account has no money left', async (t) => {
    const { sidecar } = await startUpstreams(t, [answers(402, error('pay')), chat('from b')])
    assert.deepEqual(served(await ask(sidecar)), ['b', '2'])
  })
  test('404, for it does not have the model', async (t) => {
    const missing = error('The model `m` does not exist', { code: 'model_not_found' })
    const { sidecar } = await startUpstreams(t, [answers(404, missing), chat('from b')])
    assert.deepEqual(served(await ask(sidecar)), ['b', '2'])
  })
})

suite('an answer to what the client did wrong is the answer', { concurrency: true }, () => {
  for (const [status, message] of [
    [400, 'bad value'],
    [400, "This model's maximum context length is 8192 tokens"],
    [404, 'no such thing'],
    [413, 'too large'],
    [422, 'cannot be processed'],
    [501, 'not implemented'],
  ] as const) {
    test(`${status}: ${message}`, async (t) => {
      const { sidecar, providers } = await startUpstreams(t, [answers(status, error(message)), []])
      const told = await ask(sidecar)
      assert.equal(told.status, status)
      assert.equal(told.text, JSON.stringify(error(message)))
      assert.equal(told.headers.get('x-should-retry'), null)
      assert.deepEqual(askedOf(providers), [1, 0])
    })
  }
})

test('the last of several failures is passed on as it is, and the client is told not to repeat it', async (t) => {
  const { sidecar, providers } = await startUpstreams(t, [answers(500, error('a')), answers(503, error('b'))], { retry: { attempts: 2 } })
  const told = await ask(sidecar)
  assert.deepEqual([told.status, told.text], [503, JSON.stringify(error('b'))])
  assert.equal(told.headers.get('x-should-retry'), 'false')
  assert.deepEqual(served(told), ['b', String(askedOf(providers).reduce((one, other) => one + other))])
})

test('where all have failed a call, the third attempt goes back to the one that failed it by chance', async (t) => {
  const { sidecar, providers } = await startUpstreams(t, [
    [answers(500, error('a')), chat('a')],
    [answers(429, error('b'), { 'retry-after': '20' }), chat('b')],
  ])
  assert.deepEqual(served(await ask(sidecar)), ['a', '3'])
  assert.deepEqual(askedOf(providers), [2, 1])
})

test('what the upstream itself says of repeating is passed on', async (t) => {
  const { sidecar } = await startUpstreams(t, [answers(500), answers(500, error('b'), { 'x-should-retry': 'true' })], {
    retry: { attempts: 2 },
  })
  assert.equal((await ask(sidecar)).headers.get('x-should-retry'), 'true')
})

test('a key that is refused is replaced by the second of the same upstream, and not shown again', async (t) => {
  const { sidecar, providers } = await startUpstreams(
    t,
    [
      async (exchange) => {
        const refused = exchange.req.headers.authorization === 'Bearer sk-test-old'
        await (refused ? answers(401, error('no key'))(exchange) : chat('with the second')(exchange))
      },
    ],
    { credentials: { old: { value: 'sk-test-old' }, fresh: { value: 'sk-test-fresh' } }, routing: { strategy: 'round_robin' } },
    [{ credential: undefined, credentials: ['old', 'fresh'] }],
  )
  for (let n = 0; n < 6; n++) assert.equal((await ask(sidecar)).status, 200)
  const keys = providers[0]?.seen.map(({ headers }) => headers.authorization) ?? []
  assert.equal(keys.filter((key) => key === 'Bearer sk-test-old').length, 1)
  assert.equal(keys.length, 7)
  await sidecar.logged('is auth_failed')
  assert.doesNotMatch(sidecar.log(), /sk-test/)
})

test('with one upstream a failure is repeated there, at most so often as retry.attempts says', async (t) => {
  const { sidecar, providers } = await startUpstreams(t, [[answers(500), answers(500), chat('at last')]])
  const told = await ask(sidecar)
  assert.deepEqual([told.status, ...served(told)], [200, 'a', '3'])
  assert.deepEqual(askedOf(providers), [3])
})

test('a client that repeats by itself is not repeated for at the same upstream', async (t) => {
  const { sidecar, providers } = await startUpstreams(t, [answers(500)])
  assert.equal((await ask(sidecar, {}, { 'x-stainless-retry-count': '1' })).status, 500)
  assert.deepEqual(askedOf(providers), [1])
})
