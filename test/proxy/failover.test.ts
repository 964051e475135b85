import assert from 'node:assert/strict'
import { test } from 'node:test'
import { healthOf } from '../fixtures/failing.ts'
import { answers, chat } from '../fixtures/provider.ts'
import { ask, askedOf, served, startUpstreams, type Upstreams } from '../fixtures/startUpstreams.ts'

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

test('no more than half of a tier is ejected, unless those of a lower tier can take over', async (t) => {
  const one = { tier: 1 }
  const document = { routing: { strategy: 'round_robin' }, health: { failures: 2 } }
  const ejected = async ({ sidecar }: Upstreams): Promise<number> => {
    for (let n = 0; n < 30; n++) await ask(sidecar)
    return (await healthOf(sidecar)).filter(({ state }) => state === 'ejected').length
  }
  const ill = [answers(500), answers(500), answers(500)]
  assert.equal(await ejected(await startUpstreams(t, ill, document, [one, one, one])), 1)
  assert.equal(await ejected(await startUpstreams(t, [...ill, chat('d')], document, [one, one, one])), 3)
  const withD = { ...document, routing: { strategy: 'round_robin', overrides: { upstreams: ['d'] } } }
  // Nor does a lower tier help of which nobody can be used.
  const limited = await startUpstreams(t, [...ill, answers(429, {}, { 'retry-after': '60' })], withD, [one, one, one])
  await ask(limited.sidecar, {}, { 'x-outrider-upstream': 'd' })
  await limited.sidecar.logged('upstream d is limited')
  assert.equal(await ejected(limited), 1)
})

test('where nobody can be used the least bad one is asked, once, and never one whose key was refused', async (t) => {
  const patient = answers(429, {}, { 'retry-after': '60' })
  const { sidecar, providers } = await startUpstreams(t, [answers(401), answers(402), patient])
  assert.deepEqual(served(await ask(sidecar)), ['c', '3'])
  for (let n = 0; n < 3; n++) assert.deepEqual(served(await ask(sidecar)), ['c', '1'])
  const { sidecar: poor, providers: two } = await startUpstreams(t, [answers(401), answers(402)])
  for (let n = 0; n < 3; n++) assert.equal((await ask(poor)).status, 402)
  assert.deepEqual(
    [askedOf(providers), askedOf(two)],
    [
      [1, 1, 4],
      [1, 3],
    ],
  )
})
