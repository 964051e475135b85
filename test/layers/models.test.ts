import assert from 'node:assert/strict'
import { test } from 'node:test'
import { localReply, type Call, type Handler, type Reply } from '../../sidecar/proxy/call.ts'
import { SidecarError } from '../../sidecar/proxy/errors.ts'
import { onCancel } from '../../sidecar/proxy/life.ts'
import { models } from '../../sidecar/proxy/layers/models.ts'
import { aCall, aSink } from '../fixtures/calls.ts'
import { handClock } from '../fixtures/handClock.ts'

const list = (text: string, status = 200): Reply => localReply(status, { 'content-type': 'application/json' }, Buffer.from(text))
const down = (): Promise<Reply> => Promise.reject(new SidecarError('connect_failed', 'nobody is there'))

function textOf(reply: Reply): string {
  const sink = aSink()
  reply.flow(sink)
  return sink.text()
}

/** The layer over an upstream whose answers are given one by one. */
function caching(...steps: ((call: Call) => Promise<Reply>)[]) {
  const clock = handClock()
  let asked = 0
  const next: Handler = (call) => {
    const step = steps[asked++]
    return step === undefined ? Promise.reject(new Error('asked too often')) : step(call)
  }
  const handle = models({ clock, totalMs: 600_000, entries: new Map() })(next)
  const ask = async (): Promise<unknown[]> => {
    const reply = await handle(aCall({ method: 'GET', path: '/models', body: undefined, headers: [], facts: { operation: 'models' } }))
    return [reply.own?.[1], reply.headers['age'], textOf(reply)]
  }
  return { clock, ask, asked: () => asked }
}

test('after five minutes the list is asked for anew', async () => {
  const { clock, ask } = caching(
    () => Promise.resolve(list('[1]')),
    () => Promise.resolve(list('[2]')),
  )
  assert.deepEqual(await ask(), ['miss', '0', '[1]'])
  clock.pass(299_000)
  assert.deepEqual(await ask(), ['hit', '299', '[1]'])
  clock.pass(1_000)
  assert.deepEqual(await ask(), ['miss', '0', '[2]'])
  assert.equal(clock.pending(), 0)
})

for (const [what, step] of [
  ['that cannot be reached', down],
  ['that answers 503', () => Promise.resolve(list('{}', 503))],
  ['that answers 429', () => Promise.resolve(list('{}', 429))],
] as const) {
  test(`while an upstream ${what} is down the old list is served, and says that it is old`, async () => {
    const { clock, ask, asked } = caching(
      () => Promise.resolve(list('[1]')),
      step,
      () => Promise.resolve(list('[2]')),
    )
    await ask()
    clock.pass(400_000)
    assert.deepEqual(await ask(), ['stale', '400', '[1]'])
    // Nobody waits for an upstream that has just been found down.
    clock.pass(9_000)
    assert.deepEqual(await ask(), ['stale', '409', '[1]'])
    assert.equal(asked(), 2)
    clock.pass(1_000)
    assert.deepEqual(await ask(), ['miss', '0', '[2]'])
  })
}

test('with an old list in hand nobody waits longer than five seconds', async () => {
  const { clock, ask } = caching(
    () => Promise.resolve(list('[1]')),
    ({ life }) => new Promise((_give, refuse) => onCancel(life, refuse)),
  )
  await ask()
  clock.pass(300_000)
  const asking = ask()
  clock.pass(5_050)
  assert.deepEqual(await asking, ['stale', '305', '[1]'])
  assert.equal(clock.pending(), 0)
})

test('an upstream that refuses the key is not down: its word passes', async () => {
  const { clock, ask } = caching(
    () => Promise.resolve(list('[1]')),
    () => Promise.resolve(list('{"error":1}', 401)),
  )
  await ask()
  clock.pass(300_000)
  assert.deepEqual(await ask(), [undefined, undefined, '{"error":1}'])
})
