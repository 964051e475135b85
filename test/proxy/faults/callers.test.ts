import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { healthOf, triedOf } from '../../fixtures/failing.ts'
import { answers } from '../../fixtures/provider.ts'
import { ask, askedOf, startUpstreams } from '../../fixtures/startUpstreams.ts'

const error = (message: string): object => ({ error: { message, type: 'invalid_request_error', param: null, code: null } })

suite('an answer to what the client did wrong is the answer, and no failure of the upstream', { concurrency: true }, () => {
  for (const [status, message] of [
    [400, 'bad value'],
    [404, 'no such thing'],
    [413, 'too large'],
    [422, 'cannot be processed'],
    [501, 'not implemented'],
  ] as const) {
    test(`${status}: ${message}`, async (t) => {
      const { sidecar, providers } = await startUpstreams(t, [answers(status, error(message)), []])
      const told = await ask(sidecar)
      assert.deepEqual([told.status, told.text], [status, JSON.stringify(error(message))])
      assert.deepEqual([told.headers.get('x-should-retry'), told.headers.get('x-outrider-not-repeated')], [null, null])
      assert.deepEqual(askedOf(providers), [1, 0])
      assert.deepEqual(await triedOf(sidecar), [['a', status]])
      assert.equal((await healthOf(sidecar))[0]?.last_failure, undefined)
    })
  }
})
