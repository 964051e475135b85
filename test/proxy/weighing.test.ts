import assert from 'node:assert/strict'
import { test } from 'node:test'
import { answers, chat, frame, openStream, sse, writeEach, type Exchange, type Step } from '../fixtures/provider.ts'
import { ask, askedOf, startUpstreams } from '../fixtures/startUpstreams.ts'

const oneTier = (...weights: readonly number[]) => weights.map((weight) => ({ tier: 1, weight }))

const modelOf = async ({ body }: Exchange): Promise<string> => (JSON.parse((await body).toString()) as { model: string }).model

test('with weighted, calls go to upstreams at random by their weights', async (t) => {
  const { sidecar, providers } = await startUpstreams(
    t,
    [chat('a'), chat('b'), chat('c')],
    { routing: { strategy: 'weighted' }, log: { level: 'error' } },
    oneTier(6, 3, 1),
  )
  const calls = 1_000
  const order: string[] = []
  for (let n = 0; n < calls; n += 10) {
    const told = await Promise.all(Array.from({ length: 10 }, () => ask(sidecar)))
    for (const { status, headers } of told) {
      assert.equal(status, 200)
      order.push(headers.get('x-outrider-upstream') ?? '')
    }
  }
  const asked = askedOf(providers)
  assert.equal(
    asked.reduce((sum, one) => sum + one, 0),
    calls,
  )
  // Five standard deviations: less than once in a million runs by chance.
  for (const [at, share] of [0.6, 0.3, 0.1].entries()) {
    const bound = 5 * Math.sqrt(calls * share * (1 - share))
    assert.ok(Math.abs((asked[at] ?? 0) - share * calls) <= bound, asked.join())
  }
  // At random, and not in turns: of ten calls in a row each upstream has now more and now less.
  const tens = Array.from({ length: calls / 10 }, (_, n) => order.slice(10 * n, 10 * n + 10).filter((name) => name === 'a').length)
  assert.ok(new Set(tens).size > 3, tens.join())
})

test('and a weight of nothing gets none of them', async (t) => {
  const { sidecar, providers } = await startUpstreams(t, [chat('a'), chat('b')], { routing: { strategy: 'weighted' } }, oneTier(1, 0))
  for (let n = 0; n < 50; n++) await ask(sidecar)
  assert.deepEqual(askedOf(providers), [50, 0])
})

/** So much slower than an answer on the loopback that no load of this machine is mistaken for it. */
const slowMs = 800
const late =
  (text: string, ms = slowMs): Step =>
  async (exchange) => {
    await new Promise((passed) => setTimeout(passed, ms))
    await chat(text)(exchange)
  }

const document = { routing: { strategy: 'peak_ewma' }, log: { level: 'error' } }

test('with peak_ewma, the one that is slow to its first byte gets fewer calls, in the order in which they come', async (t) => {
  const { sidecar, providers } = await startUpstreams(t, [late('a'), chat('b'), chat('c')], document, oneTier(1, 1, 1))
  for (let n = 0; n < 60; n++) assert.equal((await ask(sidecar)).status, 200)
  const [slow = 0] = askedOf(providers)
  assert.ok(slow >= 1 && slow <= 6, askedOf(providers).join())
})

test('one that refuses at once attracts no traffic, though nothing is faster', async (t) => {
  // It is never ejected: that would keep calls away as well.
  let refusals = 0
  const refuses: Step = async (exchange) => {
    refusals++
    await answers(503, { error: { message: 'busy' } })(exchange)
  }
  const { sidecar, providers } = await startUpstreams(
    t,
    [refuses, late('b', 100), late('c', 100)],
    { ...document, health: { failures: 1_000, minimumCalls: 1_000 } },
    oneTier(1, 1, 1),
  )
  const rounds = 10
  for (let n = 0; n < rounds; n++) {
    const told = await Promise.all(Array.from({ length: 4 }, () => ask(sidecar)))
    // Who has met it is served by another.
    for (const { status } of told) assert.equal(status, 200)
  }
  assert.ok(refusals >= 1 && refusals <= rounds, askedOf(providers).join())
  const [, ...quick] = askedOf(providers)
  for (const one of quick) assert.ok(one >= rounds, askedOf(providers).join())
})

test('each model by its own first bytes: the upstream that is slow with one is the better one for another', async (t) => {
  const slowWith =
    (model: string): Step =>
    async (exchange) =>
      (await modelOf(exchange)) === model ? await late('late')(exchange) : await chat('at once')(exchange)
  const { sidecar, providers } = await startUpstreams(t, [slowWith('x'), slowWith('y')], document, oneTier(1, 1))
  const shares = new Map<string, number>()
  for (let n = 0; n < 40; n++) {
    for (const model of ['x', 'y']) {
      const { headers } = await ask(sidecar, { model })
      const at = `${model} at ${headers.get('x-outrider-upstream')}`
      shares.set(at, (shares.get(at) ?? 0) + 1)
    }
  }
  const told = JSON.stringify([...shares])
  assert.equal(
    askedOf(providers).reduce((sum, one) => sum + one),
    80,
  )
  assert.ok((shares.get('x at b') ?? 0) >= 34 && (shares.get('y at a') ?? 0) >= 34, told)
})

test('a stream has not begun with its head, nor with a heartbeat of ours, but with its first event', async (t) => {
  const says = { choices: [{ index: 0, delta: { content: 'x' }, finish_reason: 'stop' }] }
  const thinks: Step = async (exchange) => {
    await exchange.body
    openStream(exchange)
    exchange.res.flushHeaders()
    await new Promise((passed) => setTimeout(passed, slowMs))
    await writeEach(exchange, [frame(says), frame('[DONE]')])
    exchange.res.end()
  }
  const streams = { heartbeat: '50ms' }
  const { sidecar, providers } = await startUpstreams(t, [thinks, sse(says, '[DONE]')], { ...document, streams }, oneTier(1, 1))
  for (let n = 0; n < 20; n++) assert.match((await ask(sidecar, { stream: true })).text, /"x"/)
  const [slow = 0] = askedOf(providers)
  assert.ok(slow >= 1 && slow <= 3, askedOf(providers).join())
})
