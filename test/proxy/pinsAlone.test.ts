import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { folder, replaceFile } from '../fixtures/mountedSecret.ts'
import { answers, hangUp, provider, type Provider, type Step } from '../fixtures/provider.ts'
import { runOutrider } from '../fixtures/runOutrider.ts'
import type { Document, Sidecar } from '../fixtures/startSidecar.ts'
import { ask, askedOf, served, startUpstreams, type Told } from '../fixtures/startUpstreams.ts'

// The story: a call that names a file goes to another account, because its own is busy. That one says that there is no such file, and the
// app takes it for lost.

const inTurns: Document = { routing: { strategy: 'round_robin' } }
const oneTier = [{ tier: 1 }, { tier: 1 }, { tier: 1 }]

/** Makes a response of the same id each time, until it is told to do something else. */
function maker(name: string): { step: Step; becomes: (step: Step) => void } {
  let now: Step = answers(200, { id: `resp_${name}`, object: 'response' })
  return {
    step: (exchange) => now(exchange),
    becomes: (step) => {
      now = step
    },
  }
}

const naming = (sidecar: Pick<Sidecar, 'url'>, ...ids: string[]): Promise<Told> =>
  ask(sidecar, { previous_response_id: ids[0], input: ids.slice(1).map((id) => ({ file_id: id })) }, {}, '/responses')

async function twoMakers(t: Parameters<typeof startUpstreams>[0], document: Document = {}, own: readonly Document[] = oneTier) {
  const makers = [maker('a'), maker('b')] as const
  const upstreams = await startUpstreams(
    t,
    makers.map(({ step }) => step),
    { ...inTurns, ...document },
    own,
  )
  for (let n = 0; n < 2; n++) await ask(upstreams.sidecar, {}, {}, '/responses')
  assert.deepEqual(askedOf(upstreams.providers), [1, 1])
  return { ...upstreams, makers }
}

const errorOf = ({ text }: Told): { message: string; upstreams: Record<string, unknown>[] } => {
  const { error, outrider } = JSON.parse(text) as { error: { message: string }; outrider: { upstreams: Record<string, unknown>[] } }
  return { message: error.message, upstreams: outrider.upstreams }
}

test('when the upstream that made it fails, it is asked again, and no other is', async (t) => {
  const { sidecar, providers, makers } = await twoMakers(t)
  makers[1].becomes(answers(500))
  const told = await naming(sidecar, 'resp_b')
  assert.deepEqual([told.status, ...served(told)], [500, 'b', '3'])
  makers[1].becomes(hangUp())
  assert.equal((await naming(sidecar, 'resp_b')).status, 502)
  assert.equal(providers[0]?.seen.length, 1)
})

test('when it cannot be used, the error names it, its state and the time; a call that names nothing is served by the other', async (t) => {
  const { sidecar, providers, makers } = await twoMakers(t)
  makers[1].becomes(answers(429, {}, { 'retry-after': '60' }))
  assert.equal((await naming(sidecar, 'resp_b')).status, 429)
  makers[1].becomes(answers(200, { id: 'resp_never' }))
  const asked = askedOf(providers)
  const told = await naming(sidecar, 'resp_b')
  assert.deepEqual([told.status, told.headers.get('x-outrider-error')], [503, 'no_upstream'])
  assert.ok(Number(told.headers.get('retry-after')) > 30)
  const { message, upstreams } = errorOf(told)
  assert.match(
    message,
    /^No healthy backend available for model: m; the request refers to resp_b, which upstream b made: it is limited, and tried again in \d+ s/,
  )
  assert.deepEqual(
    upstreams.map(({ name, state }) => [name, state]),
    [['b', 'limited']],
  )
  assert.deepEqual(askedOf(providers), asked)
  assert.deepEqual(served(await ask(sidecar, {}, {}, '/responses')), ['a', '1'])
})

test('the same while it is ejected, and when its time is over it is asked again', async (t) => {
  const { sidecar, providers, makers } = await twoMakers(t, { health: { failures: 2, ejection: '50ms' }, retry: { attempts: 1 } })
  makers[1].becomes(answers(500))
  for (let n = 0; n < 2; n++) await naming(sidecar, 'resp_b')
  await sidecar.logged('upstream b is ejected')
  makers[1].becomes(answers(200, { id: 'resp_b2' }))
  let told = await naming(sidecar, 'resp_b')
  for (let n = 0; n < 1_000 && told.status === 503; n++) told = await naming(sidecar, 'resp_b')
  assert.deepEqual([told.status, ...served(told)], [200, 'b', '1'])
  assert.equal(providers[0]?.seen.length, 1)
})

test('an id that nobody has seen made goes to one upstream alone, the same in every sidecar, and the error says that it is a guess', async (t) => {
  const homes: (string | null)[] = []
  for (let n = 0; n < 2; n++) {
    const { sidecar, providers, makers } = await twoMakers(t)
    const told = await naming(sidecar, 'resp_unknown')
    const [home] = served(told)
    homes.push(home)
    const [own, other] = home === 'a' ? ([0, 1] as const) : ([1, 0] as const)
    makers[own].becomes(answers(429, {}, { 'retry-after': '60' }))
    const asked = askedOf(providers)[other]
    assert.equal((await naming(sidecar, 'resp_unknown')).status, 429)
    const refused = await naming(sidecar, 'resp_unknown')
    assert.match(errorOf(refused).message, new RegExp(`resp_unknown, which nobody here has seen made .* upstream ${home} alone`))
    assert.equal(askedOf(providers)[other], asked)
  }
  assert.equal(homes[0], homes[1])
})

test('ids that nobody has seen made go to the lowest tier, and spread over it', async (t) => {
  const { sidecar, providers } = await startUpstreams(t, [answers(200), answers(200), []], inTurns, [{ tier: 1 }, { tier: 1 }, { tier: 2 }])
  for (let n = 0; n < 20; n++) await naming(sidecar, `resp_${n}`)
  assert.ok(
    providers.slice(0, 2).every(({ seen }) => seen.length > 4),
    askedOf(providers).join(),
  )
})

test('sealed reasoning without an id stays with the beginning of its prompt', async (t) => {
  const { sidecar, makers } = await twoMakers(t)
  const sealed = {
    input: [
      { role: 'user', content: 'hi' },
      { type: 'reasoning', encrypted_content: 'gAAA' },
    ],
  }
  const told = await ask(sidecar, sealed, {}, '/responses')
  const [home] = served(told)
  for (let n = 0; n < 4; n++) assert.equal(served(await ask(sidecar, sealed, {}, '/responses'))[0], home)
  makers[home === 'a' ? 0 : 1].becomes(answers(500))
  assert.equal((await ask(sidecar, sealed, {}, '/responses')).status, 500)
})

test('what cannot be anywhere is refused, with the reason', async (t) => {
  const routes = [{ name: 'small', models: ['mini'], upstreams: ['a', 'c'] }]
  const makers = ['a', 'b', 'c'].map((name) => maker(name).step)
  const document = { ...inTurns, routes, routing: { strategy: 'round_robin', overrides: { upstreams: ['a', 'b'] } } }
  const { sidecar } = await startUpstreams(t, makers, document, [{ tier: 1, models: ['m', 'mini'] }, { tier: 1 }, { tier: 1 }])
  for (let n = 0; n < 3; n++) await ask(sidecar, {}, {}, '/responses')
  const of = (body: object, headers: Record<string, string> = {}): Promise<Told> => ask(sidecar, body, headers, '/responses')
  const refusals: readonly (readonly [Promise<Told>, RegExp])[] = [
    [
      naming(sidecar, 'resp_a', 'resp_b'),
      /refers to resp_a, which upstream a with credential fake made, and to resp_b, .* no upstream has both/,
    ],
    [of({ previous_response_id: 'resp_b' }, { 'x-outrider-upstream': 'a' }), /resp_b, which upstream b .* x-outrider-upstream asks for a/],
    [of({ previous_response_id: 'resp_b', model: 'mini' }), /resp_b, which upstream b .* route small does not go there/],
    [of({ previous_response_id: 'resp_a', model: 'other' }), /resp_a, which upstream a .* does not have model other/],
  ]
  for (const [refused, why] of refusals) {
    const told = await refused
    assert.deepEqual([told.status, told.headers.get('x-outrider-error')], [400, 'bad_request'])
    assert.match(told.text, why)
  }
})

test('a fallback to another model stays with the account, or is not made', async (t) => {
  const fallbacks = [{ model: 'second', on: ['error'] }]
  const routing = { strategy: 'round_robin', fallbacks }
  const retry = { attempts: 2, backoff: '1ms' }
  const { sidecar, providers, makers } = await twoMakers(t, { routing, retry }, [{ tier: 1 }, { tier: 1, models: ['m'] }])
  for (const { becomes } of makers) becomes(answers(500))
  const told = await naming(sidecar, 'resp_b')
  assert.deepEqual([told.status, told.headers.get('x-outrider-upstream')], [500, 'b'])
  assert.equal(providers[0]?.seen.length, 1)
  const models = async (): Promise<unknown[]> => {
    const seen: Provider['seen'] = providers[0]?.seen ?? []
    await naming(sidecar, 'resp_a')
    return seen.slice(1).map(({ body }) => (JSON.parse(body.toString()) as { model: string }).model)
  }
  assert.deepEqual(await models(), ['m', 'second'])
})

test('pins and affinity outlive a reload that leaves the upstream what it is, and not one that makes it another', async (t) => {
  const a = await provider(t, answers(200, { id: 'resp_a' }))
  const b = await provider(t, answers(200, { id: 'resp_b' }))
  const file = join(folder(t), 'outrider.json')
  const document = (ofB: Document = {}): Document => ({
    routing: { strategy: 'round_robin' },
    timeouts: { connect: ofB['weight'] === undefined ? '10s' : '9s' },
    upstreams: [
      { name: 'a', url: `${a.url}/v1`, credential: 'fake' },
      { name: 'b', url: `${b.url}/v1`, credential: 'fake', ...ofB },
    ],
  })
  const put = (text: string): string => {
    writeFileSync(file, text)
    return file
  }
  const outrider = await runOutrider(t, a.url, document(), { put })
  for (let n = 0; n < 2; n++) await ask(outrider, {}, {}, '/responses')
  const keys = Array.from({ length: 10 }, (_, n) => ({ prompt_cache_key: `${n}` }))
  const homes = async (): Promise<unknown[]> => {
    const all: unknown[] = []
    // One after the other: where several are in flight, a home may be full.
    for (const body of keys) all.push(served(await ask(outrider, body))[0])
    return all
  }
  const before = await homes()
  assert.equal(new Set(before).size, 2)
  // Even the connections are new, for other timeouts: the account is the same.
  replaceFile(file, outrider.configText(document({ weight: 1, tier: 1, models: ['m'] })))
  await outrider.printed('config reloaded')
  for (const name of ['a', 'b', 'b', 'a', 'a', 'b', 'b']) assert.deepEqual(served(await naming(outrider, `resp_${name}`)), [name, '1'])
  assert.deepEqual(await homes(), before)
  const elsewhere = await provider(t, answers(200, { id: 'resp_c' }))
  replaceFile(file, outrider.configText(document({ url: `${elsewhere.url}/v1` })))
  await outrider.printed(/config reloaded[^]*config reloaded/)
  const told = await naming(outrider, 'resp_b')
  assert.equal(told.status, 200)
  await outrider.printed(/"chosen_by":"id"/)
})
