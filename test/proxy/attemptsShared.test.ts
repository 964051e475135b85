import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { good, isGood, metric, triedOf } from '../fixtures/failing.ts'
import { answers, chat, deadUpstream, hangUp, stall, type Step } from '../fixtures/provider.ts'
import type { Document } from '../fixtures/startSidecar.ts'
import { ask, askedOf, served, startUpstreams } from '../fixtures/startUpstreams.ts'

// Three attempts are not many: what is known to be in vain must not use them up.

const keyed = (...names: string[]): Document => ({ credential: undefined, credentials: names })
const credentials = Object.fromEntries(['fake', 'one', 'two', 'three'].map((name) => [name, { value: `sk-test-${name}` }]))
const routing = { strategy: 'round_robin' }
const quick = (attempts: number) => ({ attempts, backoff: '1ms', throttledBackoff: '1ms' })

const byModel =
  (steps: Readonly<Record<string, Step>>): Step =>
  async (exchange) => {
    const { model } = JSON.parse((await exchange.body).toString()) as { model: string }
    await (steps[model] ?? answers(404))(exchange)
  }

suite('an upstream that fails as such is not asked with another key while another upstream is there', { concurrency: true }, () => {
  for (const [what, step, outcome] of [
    ['an error of the server', answers(500), 500],
    ['too much to do', answers(503), 503],
    ['a connection that ends without an answer', hangUp(), 'no_reply'],
    ['silence', stall(), 'first_event_timeout'],
  ] as const) {
    test(what, async (t) => {
      const document = { credentials, routing, timeouts: { firstEvent: '100ms' } }
      const { sidecar, providers } = await startUpstreams(t, [[step], good], document, [keyed('one', 'two')])
      const told = await ask(sidecar, { stream: true })
      isGood(told, true)
      assert.deepEqual(served(told), ['b', '2'])
      assert.deepEqual(askedOf(providers), [1, 1])
      assert.deepEqual(await triedOf(sidecar), [
        ['a', outcome],
        ['b', 200],
      ])
    })
  }

  test('and is where none is', async (t) => {
    const { sidecar, providers } = await startUpstreams(t, [[answers(500), good]], { credentials, routing }, [keyed('one', 'two')])
    isGood(await ask(sidecar))
    assert.deepEqual(
      providers[0]?.seen.map(({ headers }) => headers.authorization),
      ['Bearer sk-test-one', 'Bearer sk-test-two'],
    )
  })
})

suite('keys that are refused or limited give way to the next key, and the last attempt goes elsewhere', { concurrency: true }, () => {
  for (const [what, step] of [
    ['401', answers(401)],
    ['402', answers(402)],
    ['429', answers(429, {}, { 'retry-after': '60' })],
    ['529', answers(529)],
  ] as const) {
    test(what, async (t) => {
      const { sidecar, providers } = await startUpstreams(t, [[step, step], good], { credentials, routing }, [keyed('one', 'two', 'three')])
      const told = await ask(sidecar)
      isGood(told)
      assert.deepEqual(served(told), ['b', '3'])
      assert.deepEqual(askedOf(providers), [2, 1])
    })
  }

  test('also of a client that repeats by itself and has two attempts', async (t) => {
    const { sidecar, providers } = await startUpstreams(t, [[answers(401)], good], { credentials, routing }, [keyed('one', 'two')])
    isGood(await ask(sidecar, {}, { 'x-stainless-retry-count': '1' }))
    assert.deepEqual(askedOf(providers), [1, 1])
  })

  test('and goes to one more key where there is nothing else', async (t) => {
    const { sidecar } = await startUpstreams(t, [[answers(401), answers(401), good]], { credentials, routing }, [
      keyed('one', 'two', 'three'),
    ])
    isGood(await ask(sidecar))
  })
})

suite('another model is asked for what all keys came to together', { concurrency: true }, () => {
  test('and not only for what the last of them said', async (t) => {
    const seen: string[] = []
    const m: Step = async (exchange) => {
      const key = exchange.req.headers.authorization ?? ''
      seen.push(key)
      await (key.endsWith('one') ? answers(401) : answers(429, {}, { 'retry-after': '60' }))(exchange)
    }
    const { sidecar } = await startUpstreams(
      t,
      [byModel({ m, spare: chat('from spare') })],
      { credentials, routing: { ...routing, fallbacks: [{ model: 'spare', on: ['error'] }] } },
      [keyed('one', 'two', 'three')],
    )
    const told = await ask(sidecar)
    assert.match(told.text, /from spare/)
    assert.deepEqual(seen, ['Bearer sk-test-one', 'Bearer sk-test-two'])
  })

  test('but an answer that is about the call is the answer, whatever failed before', async (t) => {
    const { sidecar, providers } = await startUpstreams(
      t,
      [[answers(401), answers(400, { error: { message: 'no such field' } })]],
      { credentials, routing: { ...routing, fallbacks: [{ model: 'spare', on: ['error'] }] } },
      [keyed('one', 'two')],
    )
    assert.equal((await ask(sidecar)).status, 400)
    assert.deepEqual(askedOf(providers), [2])
  })
})

suite('a host to which there was no way is not asked for another model either', { concurrency: true }, () => {
  const fallbacks = [{ model: 'spare' }]
  test('while another can be', async (t) => {
    const dead = { url: `${await deadUpstream()}/v1` }
    const { sidecar, providers } = await startUpstreams(
      t,
      [[], [chat('from b')]],
      { credentials, routing: { fallbacks }, retry: quick(2) },
      [dead, { models: ['spare'] }],
    )
    const told = await ask(sidecar)
    assert.match(told.text, /from b/)
    assert.deepEqual(await triedOf(sidecar), [
      ['a', 'connect_failed'],
      ['b', 200],
    ])
    assert.deepEqual(askedOf(providers), [0, 1])
  })

  test('nor while another model can be had elsewhere', async (t) => {
    const dead = { url: `${await deadUpstream()}/v1`, models: ['m', 'spare'] }
    const { sidecar } = await startUpstreams(
      t,
      [[], [chat('from b')]],
      { credentials, routing: { fallbacks: [...fallbacks, { model: 'other' }] }, retry: quick(2) },
      [dead, { models: ['other'] }],
    )
    const told = await ask(sidecar)
    assert.deepEqual([told.headers.get('x-outrider-model'), ...served(told)], ['other', 'b', '2'])
  })

  test('nor where nobody else has it', async (t) => {
    const dead = { url: `${await deadUpstream()}/v1` }
    const { sidecar } = await startUpstreams(t, [[]], { credentials, routing: { fallbacks }, retry: quick(2) }, [dead])
    assert.equal((await ask(sidecar)).status, 502)
    assert.deepEqual(await triedOf(sidecar), [['a', 'connect_failed']])
  })
})

suite('while all models fail', { concurrency: true }, () => {
  const document = { credentials, routing: { fallbacks: [{ model: 'spare' }] }, retry: quick(3) }

  for (const status of [500, 503])
    test(`a call costs hardly more than one attempt, though it has a model to fall back to: ${status}`, async (t) => {
      const { sidecar, providers } = await startUpstreams(t, [answers(status)], document)
      const calls = 100
      for (let n = 0; n < calls; n++) assert.equal((await ask(sidecar)).status, status)
      const [attempts = 0] = askedOf(providers)
      assert.ok(attempts >= calls && attempts <= 1.25 * calls, `${attempts} attempts`)
    })

  test('the other model is asked again before long, and helps as soon as it is well', async (t) => {
    let isWell = false
    const spare: Step = (exchange) => (isWell ? chat('from spare') : answers(500))(exchange)
    const { sidecar } = await startUpstreams(t, [byModel({ m: answers(500), spare })], { ...document, health: { ejection: '100ms' } })
    for (let n = 0; n < 20; n++) assert.equal((await ask(sidecar)).status, 500)
    isWell = true
    let text = ''
    for (let tries = 0; tries < 2_000 && text === ''; tries++) {
      const told = await ask(sidecar)
      if (told.status === 200) text = told.text
    }
    assert.match(text, /from spare/)
    assert.equal((await ask(sidecar)).status, 200, 'and from then on')
  })
})

suite('a call to which no more attempts are allowed is counted as one', { concurrency: true }, () => {
  const refused = 'outrider_retries_refused_total{reason="attempts"}'
  const document = { credentials, routing: { fallbacks: [{ model: 'spare' }] }, retry: quick(3) }
  test('also when another model was asked', async (t) => {
    const { sidecar, providers } = await startUpstreams(t, [answers(500)], document)
    const told = await ask(sidecar)
    assert.deepEqual([told.status, told.headers.get('x-outrider-not-repeated')], [500, 'attempts'])
    assert.deepEqual(askedOf(providers), [3])
    assert.equal(await metric(sidecar, refused), 1)
  })

  test('and not at all when that one had the answer', async (t) => {
    const { sidecar } = await startUpstreams(t, [byModel({ m: answers(500), spare: chat('from spare') })], document)
    assert.match((await ask(sidecar)).text, /from spare/)
    assert.equal(await metric(sidecar, refused), 0)
  })
})
