import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test, type TestContext } from 'node:test'
import { WebSocket } from 'ws'
import { fingerprint } from '../../../sidecar/proxy/llm/fingerprint.ts'
import { breaksAfter, chatEvents, patientSettings } from '../../fixtures/brokenStreams.ts'
import { answers, chat, frame, openStream, paced, sseBytes, writeEach, type Provider, type Step } from '../../fixtures/provider.ts'
import type { Document, Sidecar } from '../../fixtures/startSidecar.ts'
import { ask, askedOf, served, startUpstreams, type Told } from '../../fixtures/startUpstreams.ts'

/** Two upstreams, of which the second is on trial for all models. */
function onTrial(
  t: TestContext,
  scripts: readonly [Step, Step],
  canary: Document = {},
  document: Document = {},
): Promise<{ sidecar: Sidecar; providers: readonly Provider[] }> {
  const routes = [{ name: 'chat', models: ['*'], canary: { upstreams: ['b'], ...canary } }]
  return startUpstreams(t, scripts, { routes, ...document }, [{ tier: 1 }, { tier: 1 }])
}

const sideOf = ({ headers }: Told): string | null => headers.get('x-outrider-side')
interface Stats {
  readonly canaries: readonly { readonly state: string; readonly weight: number; readonly why: string; readonly error_rate: object }[]
}

const statsOf = async ({ url }: Sidecar): Promise<Stats> => (await (await fetch(`${url}/stats`)).json()) as Stats

test('the canary gets its share of the calls, and each answer says on which side it was made', async (t) => {
  const { sidecar, providers } = await onTrial(t, [chat('old'), chat('new')], { weight: 20 })
  const sides: (string | null)[] = []
  for (let n = 0; n < 100; n++) {
    const told = await ask(sidecar)
    assert.equal(sideOf(told), told.text.includes('new') ? 'canary' : 'stable')
    sides.push(sideOf(told))
  }
  assert.equal(sides.filter((side) => side === 'canary').length, 20)
  assert.deepEqual(askedOf(providers), [80, 20])
})

test('a call chooses its side by the header, whatever the weight, and the header ends here', async (t) => {
  const { sidecar, providers } = await onTrial(t, [chat('old'), chat('new')], { weight: 0 })
  assert.deepEqual(served(await ask(sidecar, {}, { 'X-Canary': 'TRUE' })), ['b', '1'])
  assert.deepEqual(served(await ask(sidecar, {}, { 'x-canary': 'false' })), ['a', '1'])
  for (const odd of ['maybe', 'constructor', '']) assert.deepEqual(served(await ask(sidecar, {}, { 'x-canary': odd })), ['a', '1'])
  for (const { seen } of providers) for (const { headers } of seen) assert.equal('x-canary' in headers, false)
  const all = await onTrial(t, [chat('old'), chat('new')], { weight: 100 })
  assert.deepEqual(served(await ask(all.sidecar, {}, { 'x-canary': 'false' })), ['a', '1'])
})

test('the name of the header can be another, and it goes on where that is wanted', async (t) => {
  const { sidecar, providers } = await onTrial(t, [chat('old'), chat('new')], { weight: 0, header: 'X-Beta', passHeader: true })
  assert.equal(sideOf(await ask(sidecar, {}, { 'x-beta': 'true' })), 'canary')
  assert.equal(sideOf(await ask(sidecar, {}, { 'x-canary': 'true' })), 'stable')
  assert.equal(providers[1]?.seen[0]?.headers['x-beta'], 'true')
  assert.equal(providers[0]?.seen[0]?.headers['x-canary'], 'true', 'a header that nobody named passes')
})

test('calls with the same value of a header stay on one side, and a higher weight takes nobody back', async (t) => {
  const users = Array.from({ length: 60 }, (_none, at) => `user-${at}`)
  const sidesWith = async (weight: number): Promise<(string | null)[]> => {
    const { sidecar } = await onTrial(t, [chat('old'), chat('new')], { weight, stickyBy: 'X-User' })
    const sides: (string | null)[] = []
    for (const user of users) {
      const told = await ask(sidecar, {}, { 'x-user': user })
      assert.equal(sideOf(await ask(sidecar, {}, { 'x-user': user })), sideOf(told))
      sides.push(sideOf(told))
    }
    return sides
  }
  const [few, many] = [await sidesWith(20), await sidesWith(60)]
  const canaries = few.filter((side) => side === 'canary').length
  assert.ok(canaries > 3 && canaries < 25, `${canaries} of 60 users`)
  for (const [at, side] of few.entries()) if (side === 'canary') assert.equal(many[at], 'canary')
})

test('a model on trial is put into the body of its share, and is not asked for what cannot be compared', async (t) => {
  const routes = [{ name: 'chat', models: ['m', 'v'], canary: { model: 'm-next', weight: 100 } }]
  const { sidecar, providers } = await startUpstreams(t, [answers(200, { ok: true })], { routes })
  const told = await ask(sidecar)
  assert.deepEqual([sideOf(told), told.headers.get('x-outrider-model')], ['canary', 'm-next'])
  assert.equal(sideOf(await ask(sidecar, {}, { 'x-canary': 'false' })), 'stable')
  assert.equal(sideOf(await ask(sidecar, { model: 'v', input: 'x' }, {}, '/embeddings')), 'stable')
  const asked = providers[0]?.seen.map(({ body }) => (JSON.parse(body.toString()) as { model: string }).model)
  assert.deepEqual(asked, ['m-next', 'm', 'v'])
})

test('what the canary cannot answer the stable side does; who has asked for the canary hears what it says', async (t) => {
  const { sidecar, providers } = await onTrial(t, [chat('old'), answers(500)], { weight: 100, minimumCalls: 1000 })
  const told = await ask(sidecar)
  assert.deepEqual([told.status, ...served(told), sideOf(told)], [200, 'a', '2', 'stable'])
  const forced = await ask(sidecar, {}, { 'x-canary': 'true' })
  assert.deepEqual([forced.status, sideOf(forced)], [500, 'canary'])
  assert.equal(askedOf(providers)[0], 1)
})

test('the side of a call is that of its last attempt, be that one that was asked before, or one that has taken a stream up', async (t) => {
  const routes = [{ name: 'chat', models: ['*'], canary: { upstreams: ['b'], weight: 100, minimumCalls: 1000 } }]
  const sides = { ...patientSettings, routes }
  const equal = [{ tier: 1 }, { tier: 1 }]
  const again = await startUpstreams(t, [answers(401), [answers(503), chat('new')]], sides, equal)
  const told = await ask(again.sidecar)
  assert.deepEqual([told.status, ...served(told), sideOf(told)], [200, 'b', '3', 'canary'])
  const begun = breaksAfter(...chatEvents(['ne'], { id: 'first', finish: false }))
  const whole = sseBytes(...chatEvents(['ne', 'w'], { id: 'second' }))
  const { sidecar } = await startUpstreams(t, [whole, begun], sides, equal)
  assert.match((await ask(sidecar, { stream: true })).text, /^: resumed by a/m)
  const { side, side_chosen: chosen } = await sidecar.callLine(0)
  assert.deepEqual([side, chosen], ['stable', 'canary'])
})

test('a model on trial that fails is followed by the one that was asked for', async (t) => {
  const step: Step = async (exchange) => {
    const { model } = JSON.parse((await exchange.body).toString()) as { model: string }
    return answers(model === 'm' ? 200 : 404, { error: { code: 'model_not_found', message: 'no such model' } })(exchange)
  }
  const routes = [{ name: 'chat', models: ['m'], canary: { model: 'm-next', weight: 100 } }]
  const { sidecar } = await startUpstreams(t, [step], { routes })
  const told = await ask(sidecar)
  assert.deepEqual([told.status, sideOf(told), told.headers.get('x-outrider-model')], [200, 'stable', null])
  assert.equal((await ask(sidecar, {}, { 'x-canary': 'true' })).status, 404)
})

test('a failing canary is rolled back, and stays so: log, stats and metrics say it, and no call is lost', async (t) => {
  let failing = true
  const step: Step = (exchange) => (failing ? answers(500)(exchange) : chat('new')(exchange))
  const { sidecar, providers } = await onTrial(t, [chat('old'), step], { weight: 50, minimumCalls: 10 })
  let calls = 0
  for (; (await statsOf(sidecar)).canaries[0]?.state === 'running'; calls++) {
    assert.ok(calls < 60, 'it was not rolled back')
    assert.equal((await ask(sidecar)).status, 200)
  }
  failing = false
  const asked = askedOf(providers)[1]
  for (let n = 0; n < 30; n++) assert.deepEqual(served(await ask(sidecar)), ['a', '1'])
  assert.equal(askedOf(providers)[1], asked)
  const [canary] = (await statsOf(sidecar)).canaries
  assert.deepEqual([canary?.state, canary?.weight], ['rolled_back', 0])
  assert.match(canary?.why ?? '', /^\d+ of \d+ calls failed \(100 %, more than 10 %\)/)
  await sidecar.logged('the canary of route chat is rolled back and gets no calls: ')
  assert.match(sidecar.log(), /"level":"warn"[^\n]*"event":"canary","route":"chat","state":"rolled_back","weight":0,"weight_before":50/)
  assert.match(sidecar.log(), /"route":"chat","side":"stable","side_chosen":"canary"/)
  const metrics = await (await fetch(`${sidecar.adminUrl}/metrics`)).text()
  for (const line of [
    'outrider_canary_weight{route="chat"} 0',
    'outrider_canary_state{route="chat",state="rolled_back"} 1',
    'outrider_canary_rollbacks_total{route="chat"} 1',
  ]) {
    assert.ok(metrics.includes(line), line)
  }
  assert.match(metrics, /outrider_canary_calls_total\{route="chat",side="canary",result="failed"\} 1\d\n/)
  // Who wants to look at it still can.
  assert.equal(sideOf(await ask(sidecar, {}, { 'x-canary': 'true' })), 'canary')
})

test('a canary that health has taken out of use has failed the calls that were meant for it', async (t) => {
  const document = { health: { failures: 2, ejection: '5m' } }
  const { sidecar, providers } = await onTrial(t, [chat('old'), ({ reset }) => reset()], { weight: 100, minimumCalls: 20 }, document)
  for (let n = 0; n < 20; n++) assert.equal((await ask(sidecar)).status, 200)
  assert.equal((await statsOf(sidecar)).canaries[0]?.state, 'rolled_back')
  assert.ok((askedOf(providers)[1] ?? 0) < 20)
})

test('an outage of both sides is not the fault of the canary', async (t) => {
  const { sidecar } = await onTrial(t, [answers(500), answers(500)], { weight: 50, minimumCalls: 5, stickyBy: 'x-user' })
  const users = Array.from({ length: 60 }, (_none, at) => `user-${at}`)
  const isStable = (user: string): boolean => fingerprint(user, fingerprint('chat')) >= 2 ** 31
  // The stable side first: before it has been seen to fail, nothing excuses the canary.
  for (const user of users.toSorted((one, other) => Number(isStable(other)) - Number(isStable(one))))
    await ask(sidecar, {}, { 'x-user': user })
  const [canary] = (await statsOf(sidecar)).canaries
  assert.deepEqual([canary?.state, canary?.error_rate], ['running', { canary: 1, stable: 1 }])
})

test('a call that is under way at the canary when it is rolled back goes on to its end', async (t) => {
  const stream = paced()
  let calls = 0
  const step: Step = (exchange) => (calls++ === 0 ? stream(exchange) : answers(500)(exchange))
  const { sidecar } = await onTrial(t, [chat('old'), step], { weight: 100, minimumCalls: 3 })
  const streaming = fetch(`${sidecar.url}/chat/completions`, {
    method: 'POST',
    body: '{"model":"m","stream":true}',
    headers: { 'content-type': 'application/json' },
  })
  await stream.send({ choices: [{ delta: { content: 'still here' } }] })
  const reply = await streaming
  for (let n = 0; n < 5; n++) await ask(sidecar)
  assert.equal((await statsOf(sidecar)).canaries[0]?.state, 'rolled_back')
  await stream.send({ choices: [{ delta: {}, finish_reason: 'stop' }] })
  await stream.send('[DONE]')
  await stream.end()
  assert.match(await reply.text(), /still here[^]*\[DONE\]/)
  assert.equal(reply.headers.get('x-outrider-side'), 'canary')
})

test('an upstream without a weight of its own is asked as a canary, and by no other call', async (t) => {
  const routes = [{ name: 'chat', models: ['m'], canary: { upstreams: ['b'], weight: 50 } }]
  const { sidecar, providers } = await startUpstreams(t, [chat('old'), chat('new')], { routes }, [{ tier: 1 }, { tier: 1, weight: 0 }])
  for (let n = 0; n < 100; n++) await ask(sidecar)
  assert.deepEqual(askedOf(providers), [50, 50])
  for (let n = 0; n < 20; n++) await ask(sidecar, { model: 'other' })
  assert.deepEqual(askedOf(providers), [70, 50])
})

test('a client that leaves says nothing of the canary', async (t) => {
  const { sidecar, providers } = await onTrial(t, [chat('old'), () => {}], { weight: 100, minimumCalls: 1 })
  const leaving = new AbortController()
  const gone = assert.rejects(
    fetch(`${sidecar.url}/chat/completions`, {
      method: 'POST',
      body: '{"model":"m"}',
      signal: leaving.signal,
      headers: { 'content-type': 'application/json' },
    }),
  )
  await providers[1]?.request(0)
  leaving.abort()
  await gone
  await sidecar.callLine(0)
  assert.equal((await statsOf(sidecar)).canaries[0]?.state, 'running')
})

test('a model on trial at an upstream of its own is asked there, and the other model where it always was', async (t) => {
  const { sidecar, providers } = await onTrial(t, [answers(200), answers(200)], { model: 'm-next', weight: 50 })
  for (let n = 0; n < 20; n++) await ask(sidecar, {}, { 'x-canary': String(n % 2 === 0) })
  const asked = providers.map(({ seen }) => new Set(seen.map(({ body }) => (JSON.parse(body.toString()) as { model: string }).model)))
  assert.deepEqual(asked, [new Set(['m']), new Set(['m-next'])])
})

test('a call that asks for an upstream is on the side of that', async (t) => {
  const routing = { overrides: { upstreams: ['a', 'b'] } }
  const { sidecar } = await onTrial(t, [chat('old'), chat('new')], { weight: 0 }, { routing })
  assert.equal(sideOf(await ask(sidecar, {}, { 'x-outrider-upstream': 'b' })), 'canary')
  assert.equal(sideOf(await ask(sidecar, {}, { 'x-outrider-upstream': 'a', 'x-canary': 'true' })), 'stable')
})

test('a call that asks for an upstream is on whichever side where those share it', async (t) => {
  const routing = { overrides: { upstreams: ['a'] } }
  const routes = [{ name: 'chat', models: ['m'], canary: { model: 'm-next', weight: 100 } }]
  const { sidecar } = await startUpstreams(t, [answers(200)], { routes, routing })
  assert.equal(sideOf(await ask(sidecar, {}, { 'x-outrider-upstream': 'a' })), 'canary')
  assert.equal(sideOf(await ask(sidecar, {}, { 'x-outrider-upstream': 'a', 'x-canary': 'false' })), 'stable')
})

test('the key that a client shows can keep it on one side too', async (t) => {
  const { sidecar } = await onTrial(t, [chat('old'), chat('new')], { weight: 50, stickyBy: 'authorization' })
  const sides = new Map<string, string | null>()
  for (let n = 0; n < 20; n++) {
    const key = `Bearer key-${n}`
    sides.set(key, sideOf(await ask(sidecar, {}, { authorization: key })))
    assert.equal(sideOf(await ask(sidecar, {}, { authorization: key })), sides.get(key))
  }
  assert.deepEqual(new Set(sides.values()), new Set(['canary', 'stable']))
})

test('an answer that breaks off after it has begun is a failure of its side', async (t) => {
  const cut: Step = async (exchange) => {
    await exchange.body
    openStream(exchange)
    await writeEach(exchange, [frame({ choices: [{ delta: { content: 'half' } }] })])
    exchange.reset()
  }
  const { sidecar } = await onTrial(t, [chat('old'), cut], { weight: 100, minimumCalls: 2 })
  for (let n = 0; n < 2; n++) assert.equal(sideOf(await ask(sidecar, { stream: true })), 'canary')
  await sidecar.callLine(1)
  assert.equal((await statsOf(sidecar)).canaries[0]?.state, 'rolled_back')
})

test('what names no model stays on the stable side unless it asks for the other', async (t) => {
  const { sidecar, providers } = await onTrial(t, [answers(200), answers(200)], { weight: 100 })
  const file = (headers: Record<string, string>): Promise<Told> => ask(sidecar, { model: undefined }, headers, '/files')
  assert.deepEqual([sideOf(await file({})), sideOf(await file({ 'x-canary': 'true' }))], ['stable', 'canary'])
  assert.deepEqual(askedOf(providers), [1, 1])
})

test('a WebSocket goes to the stable side', async (t) => {
  const { sidecar, providers } = await onTrial(t, [answers(418), answers(418)], { weight: 100 })
  const socket = new WebSocket(`${sidecar.url.replace('http', 'ws')}/realtime?model=voice`)
  const [, reply] = (await once(socket, 'unexpected-response')) as [unknown, { resume: () => void }]
  reply.resume()
  assert.deepEqual(askedOf(providers), [1, 0])
})

test('what a call refers to goes to the side that made it, and what nobody has seen made to the stable one', async (t) => {
  const made = (id: string): Step => answers(200, { id, object: 'response', output: [] })
  const { sidecar, providers } = await onTrial(t, [made('resp_old'), made('resp_new')], { weight: 0 })
  const respond = (body: object, headers: Record<string, string> = {}): Promise<Told> =>
    ask(sidecar, { input: 'hi', ...body }, headers, '/responses')
  assert.equal(sideOf(await respond({}, { 'x-canary': 'true' })), 'canary')
  assert.equal(sideOf(await respond({})), 'stable')
  assert.equal(sideOf(await respond({ previous_response_id: 'resp_new' })), 'canary')
  assert.equal(sideOf(await respond({ previous_response_id: 'resp_new' }, { 'x-canary': 'false' })), 'canary')
  assert.equal(sideOf(await respond({ previous_response_id: 'resp_old' }, { 'x-canary': 'true' })), 'stable')
  for (let n = 0; n < 10; n++) assert.equal(sideOf(await respond({ previous_response_id: `resp_unknown_${n}` })), 'stable')
  assert.deepEqual(askedOf(providers), [12, 3])
})

test('a call that the canary finds wrong is refused, not failed', async (t) => {
  const codes = ['unsupported_parameter', 'context_length_exceeded', 'content_policy_violation', 'something_else']
  let at = 0
  const step: Step = (exchange) => answers(400, { error: { code: codes[at++], message: 'no' } })(exchange)
  const { sidecar } = await onTrial(t, [chat('old'), step], { weight: 0 })
  for (const _code of codes) assert.equal((await ask(sidecar, {}, { 'x-canary': 'true' })).status, 400)
  const metrics = await (await fetch(`${sidecar.adminUrl}/metrics`)).text()
  assert.match(metrics, /outrider_canary_calls_total\{route="chat",side="canary",result="refused"\} 4\n/)
})
