import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import type { KindName } from '../../../sidecar/proxy/errors.ts'
import { good, isGood, metric } from '../../fixtures/failing.ts'
import { answers, hangUp, stall } from '../../fixtures/provider.ts'
import type { Document, Sidecar } from '../../fixtures/startSidecar.ts'
import { ask, askedOf, startUpstreams, type Told } from '../../fixtures/startUpstreams.ts'

// Why a call that failed was not tried again: counted, and said in the answer, whosever that is.

const counted = (sidecar: Sidecar, reason: string): Promise<number> => metric(sidecar, `outrider_retries_refused_total{reason="${reason}"}`)

/** What an answer of ours says of it: in words, and in a field for programs. */
function saysSo(told: Told, kind: KindName, reason: string, words: RegExp): void {
  assert.equal(told.headers.get('x-outrider-error'), kind, told.text)
  const { error, outrider } = JSON.parse(told.text) as {
    error: { message: string }
    outrider: { not_repeated: string; upstreams: object[] }
  }
  assert.match(error.message, words)
  assert.equal(outrider.not_repeated, reason)
  assert.ok(outrider.upstreams.length > 0)
}

/** Budgets that allow nothing beyond what the test says. */
const retry = (budget: Document): Document => ({ retry: { attempts: 3, backoff: '1ms', throttledBackoff: '1ms', budget } })
const wide = { concurrent: 1, leastConcurrent: 100, rate: 1, leastRate: 100, tokens: 1, leastTokens: 1_000_000 }

suite('an attempt that is not made is counted, and the answer says why:', { concurrency: true }, () => {
  for (const [reason, budget, words] of [
    ['budget_concurrency', { ...wide, concurrent: 0, leastConcurrent: 0 }, /too many repeats are running/],
    ['budget_rate', { ...wide, rate: 0, leastRate: 1 }, /too many repeats lately/],
    ['budget_tokens', { ...wide, tokens: 0, leastTokens: 0 }, /too many tokens may have been billed twice/],
  ] as const) {
    test(reason, async (t) => {
      const { sidecar, providers } = await startUpstreams(t, [hangUp(), []], retry(budget))
      saysSo(await ask(sidecar), 'no_reply', reason, words)
      assert.deepEqual(askedOf(providers), [1, 0])
      assert.equal(await counted(sidecar, reason), 1)
    })
    test(`${reason}, where the answer is the upstream's own`, async (t) => {
      const own = { error: { message: 'no' } }
      const { sidecar, providers } = await startUpstreams(t, [answers(500, own)], retry({ ...budget, leastRate: 0 }))
      const told = await ask(sidecar)
      assert.deepEqual([told.status, told.text, told.headers.get('x-outrider-not-repeated')], [500, JSON.stringify(own), reason])
      assert.deepEqual(askedOf(providers), [1])
      assert.equal(await counted(sidecar, reason), 1)
    })
  }

  test('deadline: what is left of its time would not do', async (t) => {
    const { sidecar, providers } = await startUpstreams(t, [hangUp(), []], { timeouts: { total: '1900ms' } })
    saysSo(await ask(sidecar), 'no_reply', 'deadline', /too little time was left/)
    assert.deepEqual(askedOf(providers), [1, 0])
    assert.equal(await counted(sidecar, 'deadline'), 1)
  })

  test("deadline: nor would what is left of the client's own", async (t) => {
    const { sidecar, providers } = await startUpstreams(t, [hangUp(), []])
    saysSo(await ask(sidecar, {}, { 'x-stainless-timeout': '1' }), 'no_reply', 'deadline', /too little time was left/)
    assert.deepEqual(askedOf(providers), [1, 0])
  })

  test('attempts: no more are allowed', async (t) => {
    const { sidecar, providers } = await startUpstreams(t, [hangUp(), hangUp(), []], { retry: { attempts: 2 } })
    saysSo(await ask(sidecar), 'no_reply', 'attempts', /2 attempts, no more are allowed/)
    assert.deepEqual(askedOf(providers), [1, 1, 0])
    assert.equal(await counted(sidecar, 'attempts'), 1)
  })

  test('no_upstream: what may have been worked on is not asked of the same one', async (t) => {
    const { sidecar, providers } = await startUpstreams(t, [stall(), stall()], { timeouts: { firstEvent: '100ms' } })
    saysSo(await ask(sidecar, { stream: true }), 'first_event_timeout', 'no_upstream', /no other upstream can be used/)
    assert.deepEqual(askedOf(providers), [1, 1])
    assert.equal(await counted(sidecar, 'no_upstream'), 1)
  })

  test('not_kept: a body too large to be kept is never sent twice', async (t) => {
    const { sidecar, providers } = await startUpstreams(t, [hangUp(), []], { limits: { replayBody: '1KiB' } })
    saysSo(await ask(sidecar, { pad: 'x'.repeat(4_000) }), 'no_reply', 'not_kept', /uploads and large bodies are not kept for repeats/)
    assert.deepEqual(askedOf(providers), [1, 0])
    assert.equal(await counted(sidecar, 'not_kept'), 1)
  })
})

test('a body too large to be kept goes to another upstream as long as not a byte of it is gone', async (t) => {
  const { sidecar, providers } = await startUpstreams(t, [[], good], { limits: { replayBody: '1KiB' } })
  await providers[0]?.close()
  isGood(await ask(sidecar, { pad: 'x'.repeat(4_000) }))
  assert.deepEqual(askedOf(providers), [0, 1])
})

suite('a client that repeats by itself', { concurrency: true }, () => {
  const again = { 'x-stainless-retry-count': '1' }
  test('is not repeated for at the same upstream', async (t) => {
    const { sidecar, providers } = await startUpstreams(t, [answers(500)])
    const told = await ask(sidecar, {}, again)
    assert.deepEqual([told.status, told.headers.get('x-outrider-not-repeated')], [500, 'forbidden'])
    assert.deepEqual(askedOf(providers), [1])
  })
  test('gets one attempt at another upstream, and no third', async (t) => {
    const { sidecar, providers } = await startUpstreams(t, [answers(500), answers(500), []])
    assert.equal((await ask(sidecar, {}, again)).status, 500)
    assert.deepEqual(askedOf(providers), [1, 1, 0])
    const three = await startUpstreams(t, [answers(500), answers(500), good])
    isGood(await ask(three.sidecar, {}, { 'x-stainless-retry-count': '0' }))
  })
})
