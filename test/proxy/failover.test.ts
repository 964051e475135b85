import assert from 'node:assert/strict'
import { test } from 'node:test'
import { answers, chat, hangUp } from '../fixtures/provider.ts'
import { ask, askedOf, served, startUpstreams } from '../fixtures/startUpstreams.ts'

test('calls go to the lowest tier as long as it can be used, and to the next when it is ejected', async (t) => {
  const { sidecar, providers } = await startUpstreams(t, [answers(500), chat('b')])
  for (let n = 0; n < 5; n++) assert.deepEqual(served(await ask(sidecar)), ['b', '2'])
  // Five failures in a row: from now on it is not even asked.
  for (let n = 0; n < 5; n++) assert.deepEqual(served(await ask(sidecar)), ['b', '1'])
  assert.deepEqual(askedOf(providers), [5, 10])
  await sidecar.logged('upstream a is ejected for')
  const health = (await (await fetch(`${sidecar.origin}/health`)).json()) as {
    status: string
    upstreams: { name: string; state: string }[]
  }
  assert.deepEqual(
    [health.status, ...health.upstreams.map(({ name, state }) => `${name} ${state}`)],
    ['degraded', 'a ejected', 'b healthy'],
  )
  const metrics = await (await fetch(`${sidecar.adminUrl}/metrics`)).text()
  assert.match(metrics, /^outrider_upstream_state\{upstream="a",state="ejected"\} 1$/m)
  assert.match(metrics, /^outrider_upstream_state\{upstream="b",state="healthy"\} 1$/m)
  assert.match(metrics, /^outrider_attempts_total\{upstream="a"\} 5$/m)
  assert.match(metrics, /^outrider_attempts_total\{upstream="b"\} 10$/m)
})

test('one that is ejected is tried again when its time is over, with one call, and used again when that goes well', async (t) => {
  let ill = true
  const { sidecar } = await startUpstreams(
    t,
    [
      async (exchange) => {
        await (ill ? answers(500)(exchange) : chat('a')(exchange))
      },
      chat('b'),
    ],
    { health: { ejection: '50ms', failures: 2 } },
  )
  for (let n = 0; n < 2; n++) await ask(sidecar)
  await sidecar.logged('upstream a is ejected')
  ill = false
  let last: string | null = ''
  for (let n = 0; n < 1_000 && last !== 'a'; n++) [last] = served(await ask(sidecar))
  assert.equal(last, 'a')
  await sidecar.logged('upstream a is used again')
})

test('when every upstream is down the answer of the last one asked is passed on, and each is asked little more than once a call', async (t) => {
  const { sidecar, providers } = await startUpstreams(t, [answers(503), answers(503), answers(503)])
  const calls = 100
  for (let n = 0; n < calls; n++) assert.equal((await ask(sidecar)).status, 503)
  const all = askedOf(providers).reduce((one, other) => one + other)
  assert.ok(all <= calls * 1.25, `${all} attempts for ${calls} calls`)
})

test('the same with connections that are refused', async (t) => {
  const { sidecar, providers } = await startUpstreams(t, [[], [], []])
  for (const one of providers) await one.close()
  const calls = 100
  let all = 0
  for (let n = 0; n < calls; n++) {
    const told = await ask(sidecar)
    assert.ok(told.status === 502 || told.status === 503, told.text)
    all += Number(told.headers.get('x-outrider-attempts') ?? 0)
  }
  assert.ok(all <= calls * 1.25, `${all} attempts for ${calls} calls`)
})

test('when no key is accepted anywhere, the answer says at once which upstreams there are and what is wrong with them', async (t) => {
  const { sidecar, providers } = await startUpstreams(t, [answers(401), answers(403)])
  const first = await ask(sidecar)
  assert.equal(first.status, 403)
  const told = await ask(sidecar)
  assert.deepEqual([told.status, told.headers.get('x-outrider-error')], [503, 'no_upstream'])
  const { error, outrider } = JSON.parse(told.text) as { error: { message: string }; outrider: { upstreams: Record<string, unknown>[] } }
  assert.match(error.message, /^No healthy backend available for model: m \(no_upstream, no attempt was made/)
  assert.deepEqual(
    outrider.upstreams.map(({ name, credential, state }) => [name, credential, state]),
    [
      ['a', 'fake', 'auth_failed'],
      ['b', 'fake', 'auth_failed'],
    ],
  )
  assert.ok(outrider.upstreams.every(({ retry_in_seconds: seconds }) => Number(seconds) > 50 && Number(seconds) <= 60))
  assert.deepEqual(askedOf(providers), [1, 1])
})

test('a model that no upstream has is refused with the same words', async (t) => {
  const { sidecar } = await startUpstreams(t, [[], []], {}, [{ models: ['gpt-*'] }, { models: ['claude-*'] }])
  const told = await ask(sidecar, { model: 'llama' })
  assert.equal(told.status, 503)
  assert.match(told.text, /No healthy backend available for model: llama; no upstream has it/)
})

test('a body too large to be kept is sent once, and the error says so', async (t) => {
  const { sidecar, providers } = await startUpstreams(t, [hangUp(), []], { limits: { replayBody: '1KiB' } })
  const told = await ask(sidecar, { pad: 'x'.repeat(4_000) })
  assert.equal(told.status, 502)
  assert.match(told.text, /not repeated: the body was too large to be kept/)
  assert.deepEqual(askedOf(providers), [1, 0])
  const metrics = await (await fetch(`${sidecar.adminUrl}/metrics`)).text()
  assert.match(metrics, /^outrider_retries_refused_total\{reason="not_kept"\} 1$/m)
})
