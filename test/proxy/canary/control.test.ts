import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { folder, replaceFile } from '../../fixtures/mountedSecret.ts'
import { chat, provider } from '../../fixtures/provider.ts'
import { runOutrider, tempFile, type Outrider } from '../../fixtures/runOutrider.ts'
import type { Document } from '../../fixtures/startSidecar.ts'
import { ask as call, served } from '../../fixtures/startUpstreams.ts'

const token = 'let-me-change-it'

interface Running {
  readonly outrider: Outrider
  readonly control: string
  readonly ask: (path: string, method?: string, headers?: Record<string, string>, body?: unknown) => Promise<Told>
}

interface Told {
  readonly status: number
  readonly etag: string
  readonly json: {
    readonly error?: string
    readonly version?: number
    readonly weights?: unknown
    readonly state?: string
    readonly persisted?: boolean
    readonly canary?: { readonly weights: unknown; readonly state: string; readonly version: number; readonly rollbacks: number }
    readonly routes?: readonly { readonly name: string; readonly canary: unknown }[]
  }
}

async function running(t: TestContext, document: Document = {}, put?: (text: string) => string): Promise<Running> {
  const upstream = await provider(t, chat('hi'))
  const whole = documentFor(upstream.url, { tokenFile: tempFile(t, 'token', `${token}\n`) }, document)
  const outrider = await runOutrider(t, upstream.url, whole, put === undefined ? {} : { put })
  const [, port = ''] = await outrider.printed(/control port (\d+)/)
  const control = `http://localhost:${port}`
  return {
    outrider,
    control,
    ask: async (path, method = 'GET', headers = {}, body?) => {
      const auth = { authorization: `Bearer ${token}`, ...headers }
      const init = body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }
      const reply = await fetch(`${control}/control/routes${path}`, { method, headers: auth, ...init })
      return { status: reply.status, etag: reply.headers.get('etag') ?? '', json: (await reply.json()) as Told['json'] }
    },
  }
}

const documentFor = (url: string, control: Document, over: Document = {}): Document => ({
  upstreams: ['a', 'b'].map((name) => ({ name, url: `${url}/v1`, credential: 'fake' })),
  routes: [
    { name: 'chat', models: ['m'], canary: { upstreams: ['b'] } },
    { name: 'plain', models: ['p'] },
  ],
  ...over,
  control: { off: false, port: 0, ...control, ...(over['control'] as Document | undefined) },
})

const weights = (canary: number): object => ({ weights: { stable: 100 - canary, canary } })

test('the routes are listed, each with its canary where it has one, to who asks without the token as well', async (t) => {
  const { ask } = await running(t)
  const { json } = await ask('', 'GET', { authorization: '' })
  assert.deepEqual(
    json.routes?.map(({ name, canary }) => [name, canary === null]),
    [
      ['chat', false],
      ['plain', true],
      ['default', true],
    ],
  )
  const chatRoute = await ask('/chat')
  assert.deepEqual([chatRoute.json.canary?.weights, chatRoute.json.canary?.state], [{ stable: 90, canary: 10 }, 'running'])
  assert.equal((await ask('/plain')).json.canary, null)
  assert.match((await ask('/plain/promote', 'POST')).json.error ?? '', /^The route plain has no canary/)
  assert.deepEqual(
    [(await ask('/chta')).status, (await ask('/chta')).json.error],
    [404, 'There is no such route. There are: chat, plain, default.'],
  )
})

test('weights are changed by who has seen them: 428 without the version, 412 with an old one and what is so now', async (t) => {
  const { ask, outrider } = await running(t)
  const first = await ask('/chat/weights')
  assert.deepEqual([first.status, first.json.version, first.json.weights], [200, 1, { stable: 90, canary: 10 }])
  const blind = await ask('/chat/weights', 'PUT', {}, weights(50))
  assert.deepEqual([blind.status, blind.etag, blind.json.weights], [428, first.etag, { stable: 90, canary: 10 }])
  const done = await ask('/chat/weights', 'PUT', { 'if-match': first.etag }, { ...weights(25.5), reason: 'release 1.4.0' })
  assert.deepEqual(
    [done.status, done.json.version, done.json.weights, done.json.persisted],
    [200, 2, { stable: 74.5, canary: 25.5 }, false],
  )
  assert.notEqual(done.etag, first.etag)
  const late = await ask('/chat/weights', 'PUT', { 'if-match': first.etag }, weights(50))
  assert.deepEqual([late.status, late.etag, late.json.weights], [412, done.etag, { stable: 74.5, canary: 25.5 }])
  assert.equal((await ask('/chat/weights', 'PUT', { 'if-match': '*' }, { weights: { canary: 0.1 } })).status, 200)
  assert.deepEqual((await ask('/chat/weights')).json.weights, { stable: 99.9, canary: 0.1 })
  await outrider.printed('the canary of route chat has the weight 25.5 now, after 10: set at run time: release 1.4.0')
})

test('of two who have seen the same version one is told that the other was first', async (t) => {
  const { ask } = await running(t)
  const { etag } = await ask('/chat/weights')
  const both = await Promise.all([20, 30].map((canary) => ask('/chat/weights', 'PUT', { 'if-match': etag }, weights(canary))))
  assert.deepEqual(new Set(both.map(({ status }) => status)), new Set([200, 412]))
  assert.equal((await ask('/chat/weights')).json.version, 2)
})

test('nothing is changed without the token, and where none is configured nothing at all', async (t) => {
  const { ask } = await running(t)
  for (const [method, path] of [
    ['PUT', '/chat/weights'],
    ['POST', '/chat/rollback'],
    ['POST', '/nowhere/promote'],
  ] as const) {
    const reply = await ask(path, method, { authorization: 'Bearer wrong', 'if-match': '*' }, weights(1)).catch((err: unknown) => err)
    assert.ok(reply instanceof SyntaxError, 'a sentence, and no JSON')
  }
  assert.equal((await ask('/chat/weights')).json.version, 1)
  const closed = await running(t, { control: { tokenFile: undefined } })
  const { control } = closed
  const reply = await fetch(`${control}/control/routes/chat/promote`, { method: 'POST', headers: { authorization: `Bearer ${token}` } })
  assert.deepEqual([reply.status, await reply.text()], [405, 'This port is read-only: GET and HEAD. No control.tokenFile is configured.\n'])
})

test('a body that cannot be meant is refused with what would be right', async (t) => {
  const { ask } = await running(t)
  const cases: [body: unknown, sentence: RegExp][] = [
    ['{', /^The body is no JSON\. Send \{"weights": \{"stable": 90, "canary": 10\}\}/],
    ['[]', /^The body has no "weights"\./],
    [{ canary: 10 }, /^The body has no "weights"\./],
    [{ weights: { canary: '10' } }, /^"weights\.canary" is no number from 0 to 100\./],
    [{ weights: { canary: 101 } }, /^"weights\.canary" is no number/],
    [{ weights: { stable: 90 } }, /^"weights\.canary" is no number/],
    [{ weights: { stable: -1, canary: 10 } }, /^"weights\.stable" is no number/],
    [{ weights: { stable: 50, canary: 10 } }, /^The weights add up to 60, not to 100\./],
    [{ weights: { canary: 10, canari: 1 } }, /^"weights" has an unknown "canari"\./],
    [{ ...weights(10), version: 3 }, /^The body has an unknown "version"\./],
    [{ ...weights(10), reason: 'line\nbreak' }, /^"reason" is no text/],
  ]
  for (const [body, sentence] of cases) {
    const { status, json } = await ask('/chat/weights', 'PUT', { 'if-match': '*' }, body)
    assert.deepEqual([status, sentence.test(json.error ?? '')], [400, true], `${JSON.stringify(body)}: ${json.error}`)
  }
  assert.equal((await ask('/chat/weights', 'PUT', { 'if-match': '*' }, ' '.repeat(20_000))).status, 413)
  assert.equal((await ask('/chat/weights')).json.version, 1)
})

test('promote, rollback and reset do what they say, at the version that was seen where one is told', async (t) => {
  const { ask } = await running(t)
  const steps: [command: string, canary: number, state: string][] = [
    ['promote', 100, 'promoted'],
    ['rollback', 0, 'rolled_back'],
    ['reset', 10, 'running'],
  ]
  for (const [command, canary, state] of steps) {
    const { etag } = await ask('/chat/weights')
    const { status, json } = await ask(`/chat/${command}`, 'POST', { 'if-match': etag })
    assert.deepEqual([status, json.weights, json.state], [200, { stable: 100 - canary, canary }, state])
    assert.equal((await ask(`/chat/${command}`, 'POST', { 'if-match': etag })).status, 412)
  }
  assert.equal((await ask('/chat')).json.canary?.rollbacks, 1)
  const { control } = await running(t)
  const odd = await fetch(`${control}/control/routes/chat/promote`, { method: 'PUT', headers: { authorization: `Bearer ${token}` } })
  assert.equal(odd.status, 405)
})

test('what was set is kept for the next start, and with it the version; a config that says something else goes before it', async (t) => {
  const stateFile = join(folder(t), 'weights.json')
  const put = async (one: Running, canary: number): Promise<Told> => {
    const { etag } = await one.ask('/chat/weights')
    return one.ask('/chat/weights', 'PUT', { 'if-match': etag }, weights(canary))
  }
  const first = await running(t, { control: { stateFile } })
  assert.equal((await put(first, 40)).json.persisted, true)
  const last = await first.ask('/chat/rollback', 'POST')
  first.outrider.child.kill('SIGTERM')
  await first.outrider.exit
  assert.equal((JSON.parse(readFileSync(stateFile, 'utf8')) as { routes: { chat: { state: string } } }).routes.chat.state, 'rolled_back')

  const second = await running(t, { control: { stateFile } })
  const found = await second.ask('/chat/weights')
  assert.deepEqual([found.etag, found.json.weights, found.json.state], [last.etag, { stable: 100, canary: 0 }, 'rolled_back'])
  await second.outrider.printed('the canary of route chat has the weight 0 (rolled_back), as it was left; the config says 10')
  await put(second, 55)

  const routes = [{ name: 'chat', models: ['m'], canary: { upstreams: ['b'], weight: 11 } }]
  const third = await running(t, { control: { stateFile }, routes })
  assert.deepEqual((await third.ask('/chat/weights')).json.weights, { stable: 89, canary: 11 })
})

test('a reload goes before what was set at run time only where it says another weight or another canary', async (t) => {
  const file = join(folder(t), 'outrider.json')
  const one = await running(t, {}, (text) => {
    writeFileSync(file, text)
    return file
  })
  const { outrider, ask } = one
  const was = JSON.parse(readFileSync(file, 'utf8')) as { routes: { canary?: object }[]; timeouts?: object }
  const reloaded = async (times: number, next: object): Promise<void> => {
    replaceFile(file, JSON.stringify({ ...was, ...next }))
    await outrider.until((all) => all.split('config reloaded').length > times || undefined, 'a reload')
  }
  await ask('/chat/weights', 'PUT', { 'if-match': '*' }, weights(70))
  await reloaded(1, { timeouts: { total: '500s' } })
  assert.deepEqual((await ask('/chat/weights')).json.weights, { stable: 30, canary: 70 })
  await reloaded(2, { routes: [{ name: 'chat', models: ['m'], canary: { upstreams: ['b'], failoverThreshold: 0.5 } }] })
  assert.deepEqual((await ask('/chat/weights')).json.weights, { stable: 30, canary: 70 })
  await reloaded(3, { routes: [{ name: 'chat', models: ['m'], canary: { upstreams: ['b'], weight: 5 } }] })
  assert.deepEqual((await ask('/chat/weights')).json.weights, { stable: 95, canary: 5 })
  await outrider.printed('the canary of route chat has the weight 5 now, after 70: the config has changed')
  await ask('/chat/promote', 'POST')
  await reloaded(4, { routes: [{ name: 'chat', models: ['m'], canary: { model: 'next', weight: 5 } }] })
  assert.deepEqual((await ask('/chat')).json.canary?.state, 'running')
  await reloaded(5, { routes: [] })
  assert.deepEqual(
    (await ask('')).json.routes?.map(({ name }) => name),
    ['default'],
  )
})

test('a state file of no use is said, calls are served all the same, and it is put right at the next change', async (t) => {
  const stateFile = join(folder(t), 'weights.json')
  writeFileSync(stateFile, '{"format":1,"routes":')
  const { outrider, ask } = await running(t, { control: { stateFile } })
  await outrider.printed('weights.json does not hold weights as Outrider writes them')
  assert.equal((await ask('/chat/promote', 'POST')).json.persisted, true)
  assert.equal((JSON.parse(readFileSync(stateFile, 'utf8')) as { format: number }).format, 1)
  rmSync(stateFile)
  mkdirSync(join(stateFile, 'in-the-way'), { recursive: true })
  const { status, json } = await ask('/chat/reset', 'POST')
  assert.deepEqual([status, json.persisted, json.weights], [200, false, { stable: 90, canary: 10 }])
  await outrider.printed('weights are not kept for the next start: ')
  assert.equal(existsSync(`${stateFile}.${outrider.child.pid}.new`), false)
})

test('of a route without a canary the weights are those of its upstreams, and what is set counts from the next call on', async (t) => {
  const { ask, outrider } = await running(t, { routing: { strategy: 'round_robin' } })
  const share = async (): Promise<number> => {
    let calls = 0
    for (let n = 0; n < 20; n++) if (served(await call(outrider, { model: 'p' }))[0] === 'b') calls++
    return calls
  }
  const first = await ask('/plain/weights')
  assert.deepEqual([first.json.weights, await share()], [{ a: 1, b: 1 }, 10])
  assert.equal((await ask('/plain/weights', 'PUT', {}, { weights: { b: 3 } })).status, 428)
  const done = await ask('/plain/weights', 'PUT', { 'if-match': first.etag }, { weights: { b: 3 }, reason: 'b is faster' })
  assert.deepEqual([done.status, done.json.weights, done.json.version], [200, { a: 1, b: 3 }, 2])
  assert.equal(await share(), 15)
  assert.deepEqual((await ask('/plain/weights', 'PUT', { 'if-match': first.etag }, { weights: { b: 9 } })).json.weights, { a: 1, b: 3 })
  await outrider.printed('weights of upstreams: b 1 → 3 (set at run time: b is faster)')
  await ask('/default/weights', 'PUT', { 'if-match': done.etag }, { weights: { a: 0 } })
  assert.equal(await share(), 20, 'they are the same in all routes')
  const cases: [body: unknown, sentence: RegExp][] = [
    [{ weights: { c: 1 } }, /^"weights" has an unknown "c"\. Send \{"weights": \{"a": 1\}\}: whole numbers .*, which are a, b\.$/],
    [{ weights: { a: 0.5 } }, /^The weight of a is no whole number from 0 to 10000\./],
    [{ weights: { a: 0, b: 0 } }, /^No upstream of this route would have a weight any more\./],
    [{ weights: {} }, /^"weights" is empty\./],
    ['x', /^The body is no JSON\. Send/],
  ]
  for (const [body, sentence] of cases) {
    const { status, json } = await ask('/plain/weights', 'PUT', { 'if-match': '*' }, body)
    assert.deepEqual([status, sentence.test(json.error ?? '')], [400, true], String(json.error))
  }
})

test('weights of upstreams are kept for the next start, and each as long as the config says the same of its upstream', async (t) => {
  const stateFile = join(folder(t), 'weights.json')
  const file = join(folder(t), 'outrider.json')
  const put = (text: string): string => {
    writeFileSync(file, text)
    return file
  }
  const first = await running(t, { control: { stateFile } })
  await first.ask('/plain/weights', 'PUT', { 'if-match': '*' }, { weights: { a: 5, b: 7 } })
  first.outrider.child.kill('SIGTERM')
  await first.outrider.exit
  const { outrider, ask } = await running(t, { control: { stateFile } }, put)
  assert.deepEqual((await ask('/plain/weights')).json.weights, { a: 5, b: 7 })
  const was = JSON.parse(readFileSync(file, 'utf8')) as { upstreams: object[] }
  replaceFile(file, JSON.stringify({ ...was, upstreams: [was.upstreams[0], { ...was.upstreams[1], weight: 2 }] }))
  await outrider.printed('config reloaded')
  const { json } = await ask('/plain/weights')
  assert.deepEqual([json.weights, json.version], [{ a: 5, b: 2 }, 3])
})
