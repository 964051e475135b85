import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { good, healthOf, isGood, triedOf } from '../../fixtures/failing.ts'
import { stall, stallAfter, stallAfterHead, type Step } from '../../fixtures/provider.ts'
import { ask, askedOf, served, startUpstreams } from '../../fixtures/startUpstreams.ts'
import { unresumed } from '../../fixtures/unresumed.ts'

const total = { 'x-stainless-timeout': '0.8' }
const read = { 'x-stainless-read-timeout': '0.8' }

// A client that is in a hurry says nothing of the upstream. Five such clients used to take a healthy one out.
suite("a time that was the client's own", { concurrency: true }, () => {
  for (const [what, fault, body, headers, kind] of [
    ['of a whole call', stall(), {}, total, 'total_timeout'],
    ['of a whole call, for a byte of it', stall(), {}, read, 'total_timeout'],
    ['of the first event', stall(), { stream: true }, total, 'first_event_timeout'],
    ['of the first event behind a head', stallAfterHead(), { stream: true }, read, 'first_event_timeout'],
    ['of a silence in a stream', stallAfter('{"choices":[{"delta":{"content":"a"}}]}'), { stream: true }, read, 'idle_timeout'],
  ] as const) {
    test(`${what} takes no upstream out, and nobody else is asked`, async (t) => {
      const steps: Step = async (exchange) => {
        const hurried = Object.keys(exchange.req.headers).some((name) => /^x-stainless-(?:read-)?timeout$/.test(name))
        await (hurried ? fault : good)(exchange)
      }
      const { sidecar, providers } = await startUpstreams(t, [steps, []], { ...unresumed, health: { failures: 2 } })
      const calls = await Promise.all([1, 2, 3].map(() => ask(sidecar, body, headers)))
      for (const { text } of calls)
        assert.match(text, new RegExp(`, the time that the client gave it.*"${kind}"|"${kind}".*time that the client gave`))
      assert.deepEqual(askedOf(providers), [3, 0])
      const [a] = await healthOf(sidecar)
      assert.deepEqual([a?.state, a?.failures_in_a_row, a?.last_failure], ['healthy', 0, undefined])
      const told = await ask(sidecar)
      isGood(told)
      assert.deepEqual(served(told), ['a', '1'])
      assert.equal((await sidecar.callLine(0))['error'], kind)
    })
  }
})

test('a time of ours that runs out is held against the upstream, whatever the client would have waited', async (t) => {
  const { sidecar } = await startUpstreams(t, [stall(), good], { timeouts: { firstEvent: '100ms' } })
  isGood(await ask(sidecar, { stream: true }, { 'x-stainless-timeout': '30' }), true)
  assert.equal((await healthOf(sidecar))[0]?.failures_in_a_row, 1)
  assert.deepEqual(await triedOf(sidecar), [
    ['a', 'first_event_timeout'],
    ['b', 200],
  ])
})
