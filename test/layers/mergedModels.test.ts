import assert from 'node:assert/strict'
import { test } from 'node:test'
import { localReply, type Call, type Reply } from '../../sidecar/proxy/call.ts'
import { SidecarError } from '../../sidecar/proxy/errors.ts'
import { mergedModels } from '../../sidecar/proxy/layers/mergedModels.ts'
import { onCancel } from '../../sidecar/proxy/life.ts'
import { aCall, aSink } from '../fixtures/calls.ts'
import { handClock } from '../fixtures/handClock.ts'

const list = (...ids: string[]): Promise<Reply> =>
  Promise.resolve(localReply(200, { 'content-type': 'application/json' }, Buffer.from(JSON.stringify({ data: ids.map((id) => ({ id })) }))))
const down = (): Promise<Reply> => Promise.reject(new SidecarError('connect_failed', 'nobody is there'))
const silent = ({ life }: Call): Promise<Reply> => new Promise((_give, refuse) => onCancel(life, refuse))

type Step = (call: Call) => Promise<Reply>

/** Lets all go on that waits for nothing but its turn. */
const turn = (): Promise<void> => new Promise((done) => setImmediate(done))

/** The layer over upstreams a and b, each of whose answers are given one by one. */
function merging(steps: Readonly<Record<'a' | 'b', readonly Step[]>>) {
  const clock = handClock()
  const asked = { a: 0, b: 0 }
  const open = { a: true, b: true }
  const sources = (['a', 'b'] as const).map((name) => ({
    name,
    isAsked: () => open[name],
    entries: new Map(),
    namesOf: (id: string) => [id],
  }))
  const handle = mergedModels({
    clock,
    totalMs: 600_000,
    sources,
    aliases: {},
    ask: (call) => {
      const name = call.wishes.upstream as 'a' | 'b'
      const step = steps[name][asked[name]++]
      return step === undefined ? Promise.reject(new Error('asked too often')) : step(call)
    },
  })(() => Promise.reject(new Error('the way of other calls')))
  const ask = async (): Promise<unknown[]> => {
    const reply = await handle(aCall({ method: 'GET', path: '/models', body: undefined, headers: [], facts: { operation: 'models' } }))
    const sink = aSink()
    reply.flow(sink)
    const ids = (JSON.parse(sink.text()) as { data: { id: string }[] }).data.map(({ id }) => id)
    return [reply.own?.[1], reply.headers['age'], ids.join(' '), ...(reply.own?.slice(3) ?? [])]
  }
  return { clock, ask, asked, open }
}

test('after five minutes each list is asked for anew, and an upstream that is down by then leaves its old one', async () => {
  const { clock, ask, asked } = merging({
    a: [() => list('a1'), () => list('a2'), () => list('a3')],
    b: [() => list('b1'), down, () => list('b2')],
  })
  assert.deepEqual(await ask(), ['miss', '0', 'a1 b1'])
  clock.pass(299_000)
  assert.deepEqual(await ask(), ['hit', '299', 'a1 b1'])
  clock.pass(1_000)
  assert.deepEqual(await ask(), ['stale', '300', 'a2 b1'])
  // Nobody waits for an upstream that has just been found down, and the other is not asked for its sake.
  clock.pass(9_000)
  assert.deepEqual(await ask(), ['stale', '309', 'a2 b1'])
  assert.deepEqual(asked, { a: 2, b: 2 })
  clock.pass(1_000)
  assert.deepEqual(await ask(), ['miss', '10', 'a2 b2'])
  assert.equal(clock.pending(), 0)
})

test('an upstream that says nothing is waited for five seconds where others have given their lists', async () => {
  const { clock, ask, asked } = merging({ a: [silent, () => list('a1')], b: [() => list('b1')] })
  const asking = ask()
  await turn()
  clock.pass(4_900)
  let over = false
  void asking.then(() => (over = true))
  await turn()
  assert.equal(over, false)
  clock.pass(200)
  assert.deepEqual(await asking, ['miss', '5', 'b1', 'a'])
  // Nor does the next call wait again.
  assert.deepEqual(await ask(), ['hit', '5', 'b1', 'a'])
  assert.deepEqual(asked, { a: 1, b: 1 })
  clock.pass(15_100)
  await turn()
  clock.pass(10_000)
  assert.deepEqual(await ask(), ['miss', '30', 'a1 b1'])
  assert.equal(clock.pending(), 0)
})

test('a list that comes too late for one call is there for the next', async () => {
  const late = Promise.withResolvers<Reply>()
  const { clock, ask } = merging({ a: [() => late.promise], b: [() => list('b1')] })
  const asking = ask()
  await turn()
  clock.pass(5_050)
  assert.deepEqual(await asking, ['miss', '5', 'b1', 'a'])
  late.resolve(await list('a1'))
  await turn()
  assert.deepEqual(await ask(), ['hit', '5', 'a1 b1'])
  assert.equal(clock.pending(), 0)
})

test('with nothing to show the wait ends with the longest one, and the error names what was waited for', async () => {
  const { clock, ask } = merging({ a: [silent], b: [down] })
  const asking = ask()
  clock.pass(15_100)
  await assert.rejects(asking, {
    kind: 'no_upstream',
    message: /a: total_timeout \(no list of models within 15 s\); b: connect_failed \(nobody is there\)/,
  })
  assert.equal(clock.pending(), 0)
})

test('an upstream that no call may go to is neither asked nor missed, and comes back with its weight', async () => {
  const { ask, asked, open } = merging({ a: [() => list('a1')], b: [() => list('b1')] })
  open.a = false
  assert.deepEqual(await ask(), ['miss', '0', 'b1'])
  assert.equal(asked.a, 0)
  open.a = true
  assert.deepEqual(await ask(), ['miss', '0', 'a1 b1'])
  open.b = false
  assert.deepEqual(await ask(), ['hit', '0', 'a1'])
})

test('a defect of ours is none of the upstreams', async () => {
  const { ask } = merging({ a: [], b: [down] })
  await assert.rejects(ask(), { kind: 'internal' })
})
