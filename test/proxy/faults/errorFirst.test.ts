import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { fails, good, healthOf, isGood, takenOver } from '../../fixtures/failing.ts'
import { chat, sse } from '../../fixtures/provider.ts'
import { ask, askedOf, served, startUpstreams } from '../../fixtures/startUpstreams.ts'

const lie = { stream: true, outcome: 'bad_reply', says: 'status 200, but no answer', attempts: 3, status: 200 } as const
const openAi = { error: { message: 'The server had an error', type: 'server_error' } }
const anthropic = { type: 'error', error: { type: 'api_error', message: 'Internal server error' } }

fails('a stream whose first event is an error', { step: sse(openAi), ...lie })
fails("a stream whose first event is an error of Anthropic's", { step: sse(anthropic), ...lie })
fails('a stream of responses that fails at once', {
  step: sse({ type: 'response.failed', response: { error: { code: 'server_error', message: 'no' } } }),
  ...lie,
})

suite('what the error says is believed, not the 200 in front of it:', { concurrency: true }, () => {
  for (const [what, state, error] of [
    ['too much to do', 'limited', { type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } }],
    ['a limit', 'limited', { error: { message: 'Rate limit reached', type: 'rate_limit_error' } }],
    ['no money', 'exhausted', { error: { message: 'no', code: 'insufficient_quota' } }],
    ['no rights', 'auth_failed', { error: { message: 'no', type: 'authentication_error' } }],
  ] as const) {
    test(what, (t) => takenOver(t, { step: sse(error), ...lie, state }))
  }
})

test('what nobody can take over passes as it came', async (t) => {
  const { sidecar } = await startUpstreams(t, [sse(openAi)], { retry: { attempts: 1 } })
  assert.equal((await ask(sidecar, { stream: true })).text, `data: ${JSON.stringify(openAi)}\n\n`)
})

test('an error that is the fault of the call is the answer, and no failure of the upstream', async (t) => {
  const wrong = { error: { message: 'bad value', type: 'invalid_request_error' } }
  const { sidecar, providers } = await startUpstreams(t, [sse(wrong), []])
  assert.equal((await ask(sidecar, { stream: true })).text, `data: ${JSON.stringify(wrong)}\n\n`)
  assert.deepEqual(askedOf(providers), [1, 0])
  assert.equal((await healthOf(sidecar))[0]?.last_failure, undefined)
})

test('a model that writes about errors has none', async (t) => {
  const { sidecar } = await startUpstreams(t, [chat('an "error" is {"error":{}}'), good])
  assert.deepEqual(served(await ask(sidecar, { stream: true })), ['a', '1'])
})

test('comments in front of it do not make an error a good beginning', async (t) => {
  const { sidecar } = await startUpstreams(t, [sse({ type: 'ping' }, openAi), good])
  isGood(await ask(sidecar, { stream: true }), true)
})
