import assert from 'node:assert/strict'
import { test } from 'node:test'
import { answers, chat, type Step } from '../fixtures/provider.ts'
import type { Document } from '../fixtures/startSidecar.ts'
import { ask, askedOf, served, startUpstreams, type Upstreams } from '../fixtures/startUpstreams.ts'

/** Without affinity, calls take turns: that they do not is then no chance. */
const inTurns = (routing: Document = {}): Document => ({ routing: { strategy: 'round_robin', ...routing } })
const oneTier = [{ tier: 1 }, { tier: 1 }, { tier: 1 }]
const three: readonly Step[] = [chat('a'), chat('b'), chat('c')]

async function homeOf({ sidecar }: Upstreams, body: object, headers: Record<string, string> = {}): Promise<string> {
  const told = await ask(sidecar, body, headers)
  assert.equal(told.status, 200, told.text)
  return served(told)[0] ?? ''
}

const keys = Array.from({ length: 12 }, (_, n) => ({ prompt_cache_key: `session-${n}` }))

async function homesOf(upstreams: Upstreams, bodies: readonly object[] = keys): Promise<string[]> {
  const homes: string[] = []
  for (const body of bodies) homes.push(await homeOf(upstreams, body))
  return homes
}

test('calls with one prompt_cache_key go to one upstream, those with others to others, and those without take turns', async (t) => {
  const upstreams = await startUpstreams(t, three, inTurns(), oneTier)
  const homes = await homesOf(upstreams)
  assert.deepEqual([...new Set(homes)].toSorted(), ['a', 'b', 'c'])
  assert.deepEqual(await homesOf(upstreams), homes)
  assert.deepEqual((await homesOf(upstreams, [{}, {}, {}])).toSorted(), ['a', 'b', 'c'])
  assert.equal((await upstreams.sidecar.callLine(0))['chosen_by'], 'affinity')
  assert.equal('chosen_by' in (await upstreams.sidecar.callLine(24)), false)
})

test('another sidecar in front of the same upstreams finds the same homes', async (t) => {
  const first = await homesOf(await startUpstreams(t, three, inTurns(), oneTier))
  assert.deepEqual(await homesOf(await startUpstreams(t, three, inTurns(), oneTier)), first)
})

const say = (text: string): object => ({ messages: [{ role: 'user', content: text }] })
const alike: readonly (readonly [string, unknown, (n: number) => readonly [body: object, headers?: Record<string, string>]])[] = [
  ['a header', { header: 'X-Session' }, (n) => [{}, { 'x-session': `s${n}` }]],
  ['user', 'user', (n) => [{ user: `u${n}` }]],
  ['safety_identifier', 'user', (n) => [{ safety_identifier: `u${n}`, user: 'everybody' }]],
  ['the beginning of the prompt', 'prompt', (n) => [say(`${n} ${'x'.repeat(2_000)} ${performance.now()}`)]],
]
for (const [name, key, callOf] of alike) {
  test(`calls that have ${name} in common go to the same upstream`, async (t) => {
    const upstreams = await startUpstreams(t, three, inTurns({ affinity: [key] }), oneTier)
    const homes: string[] = []
    for (let n = 0; n < 8; n++) homes.push(await homeOf(upstreams, ...callOf(n)))
    assert.ok(new Set(homes).size > 1, homes.join())
    for (let n = 0; n < 8; n++) assert.equal(await homeOf(upstreams, ...callOf(n)), homes[n])
  })
}

test('the first of the list that a call has counts', async (t) => {
  const upstreams = await startUpstreams(t, three, inTurns({ affinity: [{ header: 'x-session' }, 'prompt_cache_key', 'user'] }), oneTier)
  const bySession = await homeOf(upstreams, {}, { 'x-session': 'one' })
  for (let n = 0; n < 6; n++) {
    assert.equal(await homeOf(upstreams, { prompt_cache_key: `k${n}`, user: `u${n}` }, { 'x-session': 'one' }), bySession)
  }
  const byKey = await homeOf(upstreams, { prompt_cache_key: 'k' })
  for (let n = 0; n < 6; n++) assert.equal(await homeOf(upstreams, { prompt_cache_key: 'k', user: `u${n}` }), byKey)
})

test('an empty list leaves all calls to the strategy, of one route or of all', async (t) => {
  const routes = [
    { name: 'off', models: ['off'], affinity: [] },
    { name: 'by-user', models: ['by-user'], affinity: ['user'] },
  ]
  const upstreams = await startUpstreams(t, three, { ...inTurns(), routes }, oneTier)
  const key = { prompt_cache_key: 'k', user: 'u' }
  const times = (model: string): Promise<string[]> =>
    homesOf(
      upstreams,
      Array.from({ length: 3 }, () => ({ ...key, model })),
    )
  assert.equal(new Set(await times('off')).size, 3)
  assert.equal(new Set(await times('by-user')).size, 1)
  const none = await startUpstreams(t, three, inTurns({ affinity: [] }), oneTier)
  assert.equal(new Set(await homesOf(none, [key, key, key])).size, 3)
})

test('the keys of an upstream that is ejected move, all others stay, and with the next success they come back', async (t) => {
  let ill = ''
  const step =
    (name: string): Step =>
    (exchange) =>
      (ill === name ? answers(500) : chat(name))(exchange)
  const health = { failures: 2, ejection: '50ms', slowStart: '0s', minimumCalls: 1_000 }
  const upstreams = await startUpstreams(t, ['a', 'b', 'c'].map(step), { ...inTurns(), health }, oneTier)
  const before = await homesOf(upstreams)
  ill = before[0] ?? ''
  const gone = ill
  assert.ok(before.filter((home) => home === gone).length > 2)
  const during = await homesOf(upstreams)
  for (const [at, home] of before.entries()) {
    if (home === gone) assert.notEqual(during[at], gone)
    else assert.equal(during[at], home)
  }
  await upstreams.sidecar.logged(`upstream ${gone} is ejected`)
  ill = ''
  let after: string[] = []
  for (let n = 0; n < 200 && after.join() !== before.join(); n++) after = await homesOf(upstreams)
  assert.deepEqual(after, before)
})

test('a key that everybody uses fills no upstream beyond 125 % of its share', async (t) => {
  const gate = Promise.withResolvers<void>()
  const arrived = Promise.withResolvers<void>()
  let waiting = 0
  const held =
    (name: string): Step =>
    async (exchange) => {
      if (++waiting === 16) arrived.resolve()
      await gate.promise
      await chat(name)(exchange)
    }
  const { sidecar, providers } = await startUpstreams(t, [held('a'), held('b')], inTurns(), oneTier)
  const all = Array.from({ length: 16 }, () => ask(sidecar, { prompt_cache_key: 'the one' }))
  await arrived.promise
  assert.deepEqual(
    askedOf(providers).toSorted((one, other) => one - other),
    [6, 10],
  )
  gate.resolve()
  for (const told of await Promise.all(all)) assert.equal(told.status, 200)
})

test('a call goes on from its home to the next upstream when that fails', async (t) => {
  const upstreams = await startUpstreams(t, [answers(500), answers(500), chat('c')], inTurns(), oneTier)
  for (const body of keys.slice(0, 3)) assert.equal(await homeOf(upstreams, body), 'c')
})

test('what only looks like a prompt_cache_key is none', async (t) => {
  const upstreams = await startUpstreams(t, three, inTurns(), oneTier)
  const bodies: object[] = [
    say('"prompt_cache_key":"k"'),
    { tools: [{ function: { parameters: { properties: { prompt_cache_key: { type: 'string' } } } } }] },
    { prompt_cache_key: '' },
    { prompt_cache_key: null },
    { my_prompt_cache_key: 'k' },
    { prompt_cache_key_2: 'k' },
  ]
  for (const body of bodies) assert.equal(new Set(await homesOf(upstreams, [body, body, body])).size, 3, JSON.stringify(body))
})

test('with one upstream nothing is looked for', async (t) => {
  const { sidecar } = await startUpstreams(t, [chat('a')])
  await ask(sidecar, { prompt_cache_key: 'k' })
  assert.equal('chosen_by' in (await sidecar.callLine(0)), false)
})
