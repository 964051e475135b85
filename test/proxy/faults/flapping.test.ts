import assert from 'node:assert/strict'
import { test } from 'node:test'
import { good, healthOf, isGood, metric } from '../../fixtures/failing.ts'
import { answers, tooShort, type Step } from '../../fixtures/provider.ts'
import { ask, askedOf, startUpstreams } from '../../fixtures/startUpstreams.ts'

/** Fails in turns of this length, beginning with a failure. */
function flapping(turn: number, fault: Step): Step {
  let asked = 0
  return async (exchange) => {
    await (Math.floor(asked++ / turn) % 2 === 0 ? fault : good)(exchange)
  }
}

for (const [how, fault] of [
  ['500', answers(500)],
  ['an answer that breaks off', tooShort()],
] as const) {
  test(`an upstream that fails every other call with ${how} is soon out, and no call notices`, async (t) => {
    const { sidecar, providers } = await startUpstreams(t, [flapping(1, fault), good])
    for (let n = 0; n < 40; n++) isGood(await ask(sidecar))
    assert.equal((await healthOf(sidecar))[0]?.state, 'ejected')
    const [ofA = 0, ofB = 0] = askedOf(providers)
    assert.ok(ofA <= 9, `asked ${ofA} times`)
    assert.ok(ofA + ofB <= 50)
    assert.equal(await metric(sidecar, 'outrider_attempts_total{upstream="a"}'), ofA)
  })
}

test('one that fails whenever it is tried again stays out longer each time', async (t) => {
  const { sidecar } = await startUpstreams(t, [answers(500), good], { health: { failures: 2, ejection: '40ms' } })
  const ejections = (): number[] => [...sidecar.log().matchAll(/upstream a is ejected for (\d+\.\d) s/g)].map(([, s]) => Number(s) * 1_000)
  for (let n = 0; n < 3_000 && ejections().length < 5; n++) isGood(await ask(sidecar))
  const all = ejections()
  assert.equal(all.length, 5)
  // 40 ms, doubled four times, drawn between 0.8 and 1.2 of it, and told in tenths of a second.
  assert.ok((all[4] ?? 0) >= 500 && (all[4] ?? 0) <= 800, all.join())
  assert.ok(
    all.every((ms, at) => at === 0 || ms >= (all[at - 1] ?? 0)),
    all.join(),
  )
})

test('on probation one call at a time goes there, however many there are', async (t) => {
  let ill = true
  let open = 0
  let most = 0
  const release = Promise.withResolvers<void>()
  const step: Step = async (exchange) => {
    if (ill) return answers(500)(exchange)
    open++
    most = Math.max(most, open)
    await release.promise
    await good(exchange)
    open--
  }
  const { sidecar, providers } = await startUpstreams(t, [step, good], { health: { failures: 2, ejection: '40ms' } })
  for (let n = 0; n < 2; n++) await ask(sidecar)
  await sidecar.logged('upstream a is ejected')
  ill = false
  const calls: Promise<unknown>[] = []
  for (let n = 0; n < 2_000 && open === 0; n++) {
    const asked = ask(sidecar)
    calls.push(asked)
    await Promise.race([asked, providers[0]?.request(2)])
  }
  calls.push(...Array.from({ length: 20 }, () => ask(sidecar)))
  await Promise.all(calls.slice(-19))
  release.resolve()
  for (const told of await Promise.all(calls)) isGood(told as never)
  assert.equal(most, 1)
  await sidecar.logged('upstream a is used again')
})
