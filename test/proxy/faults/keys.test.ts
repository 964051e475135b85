import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { alone, bothFail, good, isGood, takenOver, upstreamsIn } from '../../fixtures/failing.ts'
import { folder, replaceFile } from '../../fixtures/mountedSecret.ts'
import { answers, type Step } from '../../fixtures/provider.ts'
import { ask, askedOf, served, startUpstreams } from '../../fixtures/startUpstreams.ts'

const refused = { error: { message: 'Incorrect API key provided', type: 'invalid_request_error', param: null, code: 'invalid_api_key' } }

for (const status of [401, 403]) {
  suite(`a key that is refused with ${status}`, { concurrency: true }, () => {
    const failing = { step: answers(status, refused), outcome: status, state: 'auth_failed', attempts: 1, status }
    test('another upstream takes over, and all that is told of it is true', (t) => takenOver(t, failing))
    test('where both refuse it, the answer of the last is passed on', (t) => bothFail(t, failing))
    test('where nobody else is there, it is not shown again', (t) => alone(t, failing))
    test('is replaced by the other one of the same upstream, and not shown again', async (t) => {
      const step: Step = async (exchange) => {
        const old = exchange.req.headers.authorization === 'Bearer sk-test-old'
        await (old ? answers(status, refused) : good)(exchange)
      }
      const { sidecar, providers } = await startUpstreams(
        t,
        [step],
        { credentials: { old: { value: 'sk-test-old' }, fresh: { value: 'sk-test-fresh' } }, routing: { strategy: 'round_robin' } },
        [{ credential: undefined, credentials: ['old', 'fresh'] }],
      )
      for (let n = 0; n < 6; n++) isGood(await ask(sidecar))
      const keys = providers[0]?.seen.map(({ headers }) => headers.authorization) ?? []
      assert.equal(keys.filter((key) => key === 'Bearer sk-test-old').length, 1)
      assert.equal(keys.length, 7)
      await sidecar.logged('is auth_failed')
      const [line = ''] = sidecar.log().match(/.*is auth_failed.*/) ?? []
      assert.match(line, /"account":"old".*\(with credential old\)/)
      assert.doesNotMatch(sidecar.log(), /sk-test/)
    })
  })
}

test('when no key is accepted anywhere, the answer says at once which upstreams there are and what is wrong with them', async (t) => {
  const { sidecar, providers } = await startUpstreams(t, [answers(401), answers(403)])
  assert.equal((await ask(sidecar)).status, 403)
  const told = await ask(sidecar)
  assert.deepEqual([told.status, told.headers.get('x-outrider-error')], [503, 'no_upstream'])
  const { error } = JSON.parse(told.text) as { error: { message: string } }
  assert.match(error.message, /^No healthy backend available for model: m; .*auth_failed.* \(no_upstream, no attempt was made/)
  const upstreams = upstreamsIn(told)
  assert.deepEqual(
    upstreams.map(({ name, state }) => [name, state]),
    [
      ['a', 'auth_failed'],
      ['b', 'auth_failed'],
    ],
  )
  assert.ok(upstreams.every(({ retry_in_seconds: seconds }) => Number(seconds) > 50 && Number(seconds) <= 60))
  assert.deepEqual(askedOf(providers), [1, 1])
})

test('an upstream whose key was refused is used again as soon as its file holds another', async (t) => {
  const file = join(folder(t), 'key')
  writeFileSync(file, 'sk-test-old')
  const step: Step = async (exchange) => {
    const old = exchange.req.headers.authorization === 'Bearer sk-test-old'
    await (old ? answers(401, refused) : good)(exchange)
  }
  const credentials = { old: { file }, fake: { value: 'sk-test-other' } }
  const { sidecar, providers } = await startUpstreams(t, [step, good], { credentials }, [{ credential: 'old' }])
  for (const attempts of ['2', '1']) assert.deepEqual(served(await ask(sidecar)), ['b', attempts])
  replaceFile(file, 'sk-test-fresh')
  await sidecar.logged('has changed; calls from now on use the new key')
  assert.deepEqual(served(await ask(sidecar)), ['a', '1'])
  assert.deepEqual(askedOf(providers), [2, 2])
})
