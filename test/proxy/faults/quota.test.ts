import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { alone, bothFail, good, healthOf, isGood, takenOver } from '../../fixtures/failing.ts'
import { answers, provider, type Step } from '../../fixtures/provider.ts'
import { startByHand } from '../../fixtures/startSidecar.ts'
import { ask, askedOf, startUpstreams } from '../../fixtures/startUpstreams.ts'

const error = (message: string, code: string, type: string): object => ({ error: { message, type, param: null, code } })

for (const [what, status, said] of [
  ['insufficient_quota, under 429', 429, error('You exceeded your current quota', 'insufficient_quota', 'insufficient_quota')],
  ['402', 402, error('pay', 'x', 'x')],
  ['billing_not_active, under 403', 403, error('Your account is not active', 'billing_not_active', 'x')],
  [
    'a credit balance that is too low, under 400',
    400,
    { type: 'error', error: { type: 'invalid_request_error', message: 'Your credit balance is too low to access the API' } },
  ],
] as const) {
  suite(what, { concurrency: true }, () => {
    // Whatever it says of waiting: money does not come by itself.
    const step = answers(status, said, { 'retry-after-ms': '10' })
    const failing = { step, outcome: status, state: 'exhausted', attempts: 1, status }
    test('another upstream takes over, and all that is told of it is true', (t) => takenOver(t, failing))
    test('where both have no money left, the answer of the last is passed on', (t) => bothFail(t, failing))
    test('where nobody else is there, it is not repeated', (t) => alone(t, failing))
  })
}

test('an account without money is not asked again for minutes, for no model, and another account of the same upstream is', async (t) => {
  const step: Step = async (exchange) => {
    const poor = exchange.req.headers.authorization === 'Bearer sk-test-poor'
    await (poor ? answers(429, error('x', 'insufficient_quota', 'x')) : good)(exchange)
  }
  const { sidecar, providers } = await startUpstreams(
    t,
    [step],
    { credentials: { poor: { value: 'sk-test-poor' }, rich: { value: 'sk-test-rich' } }, routing: { strategy: 'round_robin' } },
    [{ credential: undefined, credentials: ['poor', 'rich'] }],
  )
  for (let n = 0; n < 6; n++) isGood(await ask(sidecar, { model: `m${n}` }))
  const keys = providers[0]?.seen.map(({ headers }) => headers.authorization) ?? []
  assert.equal(keys.filter((key) => key === 'Bearer sk-test-poor').length, 1)
  await sidecar.logged('is exhausted for 300.0 s')
  assert.equal((await healthOf(sidecar))[0]?.state, 'healthy', 'one account is enough')
  assert.doesNotMatch(sidecar.log(), /sk-test/)
})

test('one whose time is over is told to be on probation for want of a call that goes well, not for what the last one met', async (t) => {
  const upstream = await provider(t, [answers(429, error('x', 'insufficient_quota', 'x')), answers(429)])
  const sidecar = await startByHand(t, upstream.url)
  await ask(sidecar)
  await sidecar.logged('is exhausted for 300.0 s: status 429, no quota or money is left')
  sidecar.clock.pass(300_001)
  await ask(sidecar, { model: 'other' })
  await sidecar.logged('upstream fake is on probation: no call has gone well there since')
})

test('a limit per minute that speaks of a quota is a limit', async (t) => {
  const gemini = [
    { error: { code: 429, status: 'RESOURCE_EXHAUSTED', message: 'Quota exceeded for quota metric GenerateRequestsPerMinute' } },
  ]
  const { sidecar, providers } = await startUpstreams(t, [answers(429, gemini), good])
  isGood(await ask(sidecar))
  assert.equal((await healthOf(sidecar))[0]?.state, 'limited')
  assert.deepEqual(askedOf(providers), [1, 1])
})
