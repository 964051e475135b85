import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fails, good, isGood, triedOf, upstreamsIn } from '../../fixtures/failing.ts'
import { deadUpstream } from '../../fixtures/provider.ts'
import { ask, askedOf, served, startUpstreams } from '../../fixtures/startUpstreams.ts'

fails('connections that are refused', {
  at: async () => ({ url: await deadUpstream() }),
  outcome: 'connect_failed',
  attempts: 3,
  kind: 'connect_failed',
})

// The second key of a host that is not there used to be tried before another host.
test('behind a host that is not there another host is asked, not another key of the same', async (t) => {
  const keys = { one: { value: 'sk-test-one' }, two: { value: 'sk-test-two' } }
  const dead = { url: `${await deadUpstream()}/v1`, credential: undefined, credentials: ['one', 'two'] }
  const { sidecar, providers } = await startUpstreams(t, [[], good], { credentials: keys }, [dead])
  const told = await ask(sidecar)
  isGood(told)
  assert.deepEqual(served(told), ['b', '2'])
  assert.deepEqual(await triedOf(sidecar), [
    ['a', 'connect_failed'],
    ['b', 200],
  ])
  assert.deepEqual(askedOf(providers), [0, 1])
})

test("clients of Anthropic's are told the same in its shape", async (t) => {
  const { sidecar, providers } = await startUpstreams(t, [[], []])
  for (const one of providers) await one.close()
  const told = await ask(sidecar, {}, {}, '/messages')
  const { type, error } = JSON.parse(told.text) as { type: string; error: { type: string } }
  assert.deepEqual([told.status, type, error.type], [502, 'error', 'api_error'])
  assert.deepEqual(
    upstreamsIn(told).map(({ name }) => name),
    ['a', 'b'],
  )
})

test('with all of them gone, calls cost little more than one attempt each, and say when which one will be tried again', async (t) => {
  const { sidecar, providers } = await startUpstreams(t, [[], [], []])
  for (const one of providers) await one.close()
  const calls = 100
  let all = 0
  let told = await ask(sidecar)
  for (let n = 0; n < calls; n++) {
    told = await ask(sidecar)
    assert.ok(told.status === 502 || told.status === 503, told.text)
    all += Number(told.headers.get('x-outrider-attempts') ?? 0)
  }
  assert.ok(all <= calls * 1.25, `${all} attempts for ${calls} calls`)
  const upstreams = upstreamsIn(told)
  assert.deepEqual(
    upstreams.map(({ name }) => name),
    ['a', 'b', 'c'],
  )
  const ejected = upstreams.filter(({ state }) => state === 'ejected')
  assert.ok(ejected.length > 0, told.text)
  for (const { retry_in_seconds: seconds } of ejected) assert.ok(seconds !== null && seconds > 0 && seconds <= 12, told.text)
})
