import assert from 'node:assert/strict'
import { test } from 'node:test'
import { demoModels, startProvider } from '../../sidecar/demo/provider.ts'
import { moods } from '../../sidecar/demo/providerMoods.ts'
import { program, type Program } from '../fixtures/runOutrider.ts'
import type { Owner } from '../fixtures/providerExchange.ts'

const body = (model: string, stream: boolean): string => JSON.stringify({ model, stream, messages: [{ role: 'user', content: 'Hi' }] })

const post = (base: string, model: string, stream = false): Promise<Response> =>
  fetch(`${base}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: body(model, stream),
    signal: AbortSignal.timeout(30_000),
  })

test('every model that misbehaves is listed, and only where it may be asked for', async (t) => {
  for (const name of Object.keys(moods)) assert.ok(demoModels.includes(name), name)
  const provider = await startProvider({ models: ['gpt-4o-mini'] })
  t.after(provider.close)
  assert.equal((await post(provider.url, 'demo-500')).status, 404)
})

/** The demo as a newcomer runs it, on any port. */
async function demo(t: Owner): Promise<Program & { base: string }> {
  const running = program(t, ['demo', '--port', '0'])
  const [, base = ''] = await running.printed(/base URL +(http:\/\/localhost:\d+)\/v1/)
  await running.printed('Ctrl+C ends it')
  return { ...running, base }
}

interface Expected {
  readonly status: number
  readonly error?: string
  readonly text?: RegExp
  readonly told?: string
}

const cases: Readonly<Record<string, Expected>> = {
  'demo-failover': { status: 200, text: /data: \[DONE\]\n\n$/ },
  'demo-slow': { status: 200, text: /data: \[DONE\]\n\n$/ },
  'demo-silent': { status: 504, error: 'first_event_timeout', told: 'first_event_timeout (upstream)' },
  'demo-stall': { status: 200, text: /"kind":"idle_timeout"/, told: 'idle_timeout (upstream)' },
  'demo-cut': { status: 200, text: /"kind":"reply_cut"/, told: 'reply_cut (upstream)' },
  'demo-garbage': { status: 502, error: 'bad_reply', told: 'bad_reply (upstream)' },
  'demo-html': { status: 502, text: /^<html>/ },
  'demo-429': { status: 429, text: /rate_limit_exceeded/ },
  'demo-quota': { status: 429, text: /insufficient_quota/ },
  'demo-500': { status: 500, text: /server_error/ },
  'demo-503': { status: 503, text: /overloaded/ },
}

test('each misbehaves through the proxy as the banner says, and the line below the banner tells it', async (t) => {
  const running = await demo(t)
  assert.deepEqual(Object.keys(cases), Object.keys(moods))
  const play = async ([model, expected]: [string, Expected]): Promise<void> => {
    assert.match(running.stdout(), new RegExp(`^  ${model} +\\w|"model":"${model}"`, 'm'))
    const reply = await post(running.base, model, true)
    const text = await reply.text()
    assert.equal(reply.status, expected.status, model)
    assert.equal(reply.headers.get('x-outrider-error') ?? undefined, expected.error, model)
    assert.match(text, expected.text ?? /"fault":"upstream"/, model)
    const line = `\\d\\d:\\d\\d:\\d\\d ${expected.status} POST /v1/chat/completions ${model} stream \\d+ ms north[a-z0-9, _]*`
    await running.printed(new RegExp(`^${line}${expected.told === undefined ? '' : ` ${RegExp.escape(expected.told)}`}$`, 'm'))
  }
  // What spends the money of both providers comes last: until somebody has paid, their other models are out too.
  const isLast = ([model]: [string, Expected]): boolean => model === 'demo-quota'
  const all = Object.entries(cases)
  await Promise.all(all.filter((one) => !isLast(one)).map(play))
  await Promise.all(all.filter(isLast).map(play))
  assert.equal(running.stderr(), '')
  assert.ok(!running.stdout().includes('{"level"'), 'no JSON between the lines for people')
})

test('where north fails south answers, headers and log tell it, and after five failures north is left alone', async (t) => {
  const running = await demo(t)
  const told: (string | null)[][] = []
  for (let n = 0; n < 7; n++) {
    const reply = await post(running.base, 'demo-failover')
    assert.equal(reply.status, 200)
    await reply.text()
    told.push([reply.headers.get('x-outrider-upstream'), reply.headers.get('x-outrider-attempts')])
  }
  const both = ['south', '2']
  assert.deepEqual(told, [both, both, both, both, both, ['south', '1'], ['south', '1']])
  await running.printed(/^\d\d:\d\d:\d\d 200 POST \/v1\/chat\/completions demo-failover \d+ ms north 500, then south$/m)
  await running.printed(/^\d\d:\d\d:\d\d 200 POST \/v1\/chat\/completions demo-failover \d+ ms south$/m)
  await running.printed(/^\d\d:\d\d:\d\d warn: upstream north is ejected for/m)
  // Its other models are as good as ever.
  const other = await post(running.base, 'gpt-4o-mini')
  assert.equal(other.headers.get('x-outrider-upstream'), 'north')
  await other.text()
})

test('Ctrl-C ends the demo at once and cleanly, with calls in flight', async (t) => {
  const running = await demo(t)
  const reply = await post(running.base, 'demo-stall', true)
  const reader = reply.body?.getReader()
  await reader?.read()
  const ended = reader?.read().catch(() => {})
  running.child.kill('SIGINT')
  assert.deepEqual(await running.exit, { code: 0, signal: null })
  assert.match(running.stdout(), /\nThe demo has ended\.\n$/)
  assert.ok(!running.stdout().includes('\u001B'), 'no colour where there is no terminal')
  assert.equal(running.stderr(), '')
  await ended
})

test('a half answer that is no stream ends in the middle, and the provider counts no client that left', async (t) => {
  const provider = await startProvider()
  t.after(provider.close)
  const reply = await post(provider.url, 'demo-cut')
  assert.equal(reply.status, 200)
  await assert.rejects(reply.text())
  assert.equal(await provider.seen[0]?.closed, false)
  assert.equal(provider.aborted, 0)
})
