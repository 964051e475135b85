import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { alone, bothFail, good, healthOf, isGood } from '../../fixtures/failing.ts'
import { answers } from '../../fixtures/provider.ts'
import { ask, askedOf, startUpstreams } from '../../fixtures/startUpstreams.ts'

const missing = { error: { message: 'The model `m` does not exist', type: 'invalid_request_error', param: null, code: 'model_not_found' } }

suite('a model that an upstream does not have after all', { concurrency: true }, () => {
  const failing = { step: answers(404, missing), outcome: 404, attempts: 1, status: 404 }
  test('is asked for elsewhere, and that says nothing of the upstream', async (t) => {
    const { sidecar, providers } = await startUpstreams(t, [failing.step, good])
    for (let n = 0; n < 8; n++) isGood(await ask(sidecar))
    assert.deepEqual(askedOf(providers), [8, 8])
    const [a] = await healthOf(sidecar)
    assert.deepEqual([a?.state, a?.failures_in_a_row, a?.last_failure], ['healthy', 0, undefined])
  })
  test('where both lack it, the answer of the last is passed on', (t) => bothFail(t, failing))
  test('where nobody else is there, it is not repeated', (t) => alone(t, failing))
})

test('a model that no upstream is configured for is refused before anybody is asked', async (t) => {
  const { sidecar } = await startUpstreams(t, [[], []], {}, [{ models: ['gpt-*'] }, { models: ['claude-*'] }])
  const told = await ask(sidecar, { model: 'llama' })
  assert.equal(told.status, 503)
  assert.match(told.text, /No healthy backend available for model: llama; no upstream has it/)
})
