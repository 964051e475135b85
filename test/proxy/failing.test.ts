import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { metric } from '../fixtures/failing.ts'
import { answers, chat, type Step } from '../fixtures/provider.ts'
import type { Document, Sidecar } from '../fixtures/startSidecar.ts'
import { ask, startUpstreams } from '../fixtures/startUpstreams.ts'

// The last one that could be used was called healthy while it failed every call.

interface Said {
  readonly name: string
  readonly status: string
  readonly state: string
  readonly not_ejected?: string
  readonly healthy?: boolean
}

const saidAt = async (url: string): Promise<Said[]> => ((await (await fetch(url)).json()) as { upstreams: Said[] }).upstreams

const inShort = ({ name, status, state, not_ejected: why }: Said): string => [name, status, state, why].filter(Boolean).join(' ')

const healthOf = async ({ origin }: Sidecar): Promise<string[]> => (await saidAt(`${origin}/health`)).map(inShort)

const linesWith = (sidecar: Sidecar, words: string): number => sidecar.log().split(words).length - 1

const once: Document = { retry: { attempts: 1 } }

suite('an upstream that fails and cannot be done without', { concurrency: true }, () => {
  test('is told as that, in the same word wherever one looks, and in one line of the log', async (t) => {
    let ill = true
    const moody: Step = (exchange) => (ill ? answers(500) : chat('a'))(exchange)
    const { sidecar } = await startUpstreams(t, [moody], { ...once, control: { port: 0, off: false } })
    for (let n = 0; n < 8; n++) await ask(sidecar)
    await sidecar.logged('upstream a is failing, and not ejected, for there are too few others: status 500 (with credential fake, for m)')
    assert.equal(linesWith(sidecar, 'upstream a is'), 1)
    assert.deepEqual(await healthOf(sidecar), ['a unhealthy failing too_few_others'])
    const [a] = await saidAt(`${sidecar.url}/stats`)
    assert.deepEqual([a && inShort(a), a?.healthy], ['a unhealthy failing too_few_others', false])
    assert.deepEqual((await saidAt(`http://localhost:${sidecar.proxy.controlPort}/status`)).map(inShort), [
      'a unhealthy failing too_few_others',
    ])
    assert.equal(await metric(sidecar, 'outrider_upstream_state{upstream="a",state="failing"}'), 1)
    assert.equal(await metric(sidecar, 'outrider_upstream_state{upstream="a",state="healthy"}'), 0)
    assert.equal(await metric(sidecar, 'outrider_upstream_changes_total{upstream="a",state="failing"}'), 1)

    ill = false
    for (let n = 0; n < 9; n++) assert.equal((await ask(sidecar)).status, 200)
    await sidecar.logged('upstream a answers again (with credential fake, for m)')
    assert.deepEqual(await healthOf(sidecar), ['a degraded healthy'])
    assert.equal(await metric(sidecar, 'outrider_upstream_state{upstream="a",state="healthy"}'), 1)
  })

  test('is failing too where it does so for one model of two, and degraded as long as it answers for the other', async (t) => {
    const byModel: Step = async (exchange) => {
      const { model } = JSON.parse((await exchange.body).toString()) as { model: string }
      await (model === 'bad' ? answers(500) : chat('a'))(exchange)
    }
    const { sidecar } = await startUpstreams(t, [byModel], once)
    for (let n = 0; n < 6; n++) for (const model of ['bad', 'good']) await ask(sidecar, { model })
    await sidecar.logged('for bad)')
    assert.deepEqual(await healthOf(sidecar), ['a degraded failing too_few_others'])
  })

  test('is told once, however often it changes between failing and answering', async (t) => {
    const { sidecar } = await startUpstreams(t, [Array.from({ length: 40 }, (_, n) => (n % 4 === 3 ? chat('a') : answers(500)))], {
      ...once,
      health: { minimumCalls: 4 },
    })
    for (let n = 0; n < 40; n++) await ask(sidecar)
    await sidecar.callLine(39)
    assert.deepEqual([linesWith(sidecar, 'upstream a is failing'), linesWith(sidecar, 'upstream a answers again')], [1, 0])
    assert.deepEqual(await healthOf(sidecar), ['a degraded failing too_few_others'])
  })

  test('is one of those that are kept when no more of a tier may be ejected', async (t) => {
    const document = { ...once, routing: { strategy: 'round_robin' }, health: { failures: 2 } }
    const tier = { tier: 1 }
    const { sidecar } = await startUpstreams(t, [answers(500), answers(500), answers(500)], document, [tier, tier, tier])
    for (let n = 0; n < 30; n++) await ask(sidecar)
    const said = (await healthOf(sidecar)).map((one) => one.slice(2)).toSorted()
    assert.deepEqual(said, ['unhealthy ejected', 'unhealthy failing too_few_others', 'unhealthy failing too_few_others'])
  })
})

test('an upstream whose key is missing is not called healthy, though no call has failed for it yet', async (t) => {
  const { sidecar } = await startUpstreams(t, [[]], { credentials: { other: { env: 'NO_SUCH_KEY' } } }, [{ credential: 'other' }])
  assert.deepEqual(await healthOf(sidecar), ['a unhealthy auth_failed'])
  assert.equal(await metric(sidecar, 'outrider_upstream_state{upstream="a",state="auth_failed"}'), 1)
})
