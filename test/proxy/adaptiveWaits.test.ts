import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { folder, replaceFile } from '../fixtures/mountedSecret.ts'
import { provider, sse, stall, type Step } from '../fixtures/provider.ts'
import { runOutrider } from '../fixtures/runOutrider.ts'
import { ask, askedOf, served, startUpstreams } from '../fixtures/startUpstreams.ts'

const says = (content: string): Step => sse({ choices: [{ index: 0, delta: { content }, finish_reason: 'stop' }] }, '[DONE]')
const stream = { stream: true }
const health = { failures: 1_000, minimumCalls: 1_000 }
const outcomes = (line: Record<string, unknown>): unknown[] => (line['tried'] as { outcome: unknown }[]).map(({ outcome }) => outcome)

test('while nothing is known, the first event is waited for as long as the config says', async (t) => {
  const timeouts = { adaptive: { cold: '200ms' } }
  const { sidecar } = await startUpstreams(t, [stall(), says('b')], { timeouts, health })
  assert.deepEqual(served(await ask(sidecar, stream)), ['b', '2'])
  assert.deepEqual(outcomes(await sidecar.callLine(0)), ['first_event_timeout', 200])
})

test('at one upstream, a model that thinks long is waited for, and one that is quick is not', async (t) => {
  // A second is long for a quick model, on whatever machine; the other takes two.
  const adaptive = { cold: '30s', shortest: '1s', longest: '20s', times: 4, warmAfter: 3 }
  let quick = 0
  const first: Step = async (exchange) => {
    const { model } = JSON.parse((await exchange.body).toString()) as { model: string }
    if (model === 'quick') return quick++ < 3 ? says('quick')(exchange) : stall()(exchange)
    await new Promise((passed) => setTimeout(passed, 2_000))
    return says('thought')(exchange)
  }
  const { sidecar } = await startUpstreams(t, [first, says('b')], { timeouts: { adaptive }, health })
  const think = { ...stream, model: 'thinks' }
  for (let n = 0; n < 3; n++) assert.deepEqual(served(await ask(sidecar, { ...stream, model: 'quick' })), ['a', '1'])
  // By the measure of what is known of that upstream it is too slow, but only once.
  assert.deepEqual(served(await ask(sidecar, think)), ['b', '2'])
  for (const told of await Promise.all([1, 2, 3].map(() => ask(sidecar, think)))) assert.deepEqual(served(told), ['a', '1'])
  const [hangs, thought] = await Promise.all([ask(sidecar, { ...stream, model: 'quick' }), ask(sidecar, think)])
  assert.deepEqual(
    [served(hangs), served(thought)],
    [
      ['b', '2'],
      ['a', '1'],
    ],
  )
})

test('other numbers take effect at a reload, with what is known of the upstream and its connections as they were', async (t) => {
  let calls = 0
  const a = await provider(t, (exchange) => (calls++ < 4 ? says('a')(exchange) : stall()(exchange)))
  const b = await provider(t, says('b'))
  const file = join(folder(t), 'outrider.json')
  const document = (adaptive: object, peakEwma: object): object => ({
    upstreams: [
      { name: 'a', url: `${a.url}/v1`, credential: 'fake', tier: 1, check: { by: 'off' } },
      { name: 'b', url: `${b.url}/v1`, credential: 'fake', tier: 2, check: { by: 'off' } },
    ],
    retry: { attempts: 3 },
    routing: { peakEwma },
    timeouts: { adaptive, upstreamIdle: '60s' },
  })
  const put = (text: string): string => {
    writeFileSync(file, text)
    return file
  }
  const outrider = await runOutrider(t, a.url, { ...document({ cold: '10m' }, {}) }, { put })
  for (let n = 0; n < 4; n++) assert.deepEqual(served(await ask(outrider, stream)), ['a', '1'])
  // Four are enough to know it now, so that the ten minutes of a cold one are not waited for.
  replaceFile(file, outrider.configText({ ...document({ cold: '10m', shortest: '500ms', warmAfter: 4 }, { penalty: '1s' }) }))
  await outrider.printed('config reloaded')
  assert.deepEqual(served(await ask(outrider, stream)), ['b', '2'])
  assert.deepEqual([askedOf([a, b]), a.connections], [[5, 1], 1])
})
