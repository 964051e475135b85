import assert from 'node:assert/strict'
import { test } from 'node:test'
import { answers, chat, provider, type Owner, type Provider, type Step } from '../fixtures/provider.ts'
import { program } from '../fixtures/runOutrider.ts'
import { ask } from '../fixtures/startUpstreams.ts'

type Env = Readonly<Record<string, string>>

/** A provider that answers by the model that is asked for, and the program as it runs with nothing but an environment. */
async function running(t: Owner, steps: Readonly<Record<string, Step>>, env: Env) {
  const upstream = await provider(t, async (exchange) => {
    const { model } = JSON.parse((await exchange.body).toString()) as { model: string }
    await (steps[model] ?? answers(404, { error: { message: 'The model does not exist', code: 'model_not_found' } }))(exchange)
  })
  const outrider = program(t, ['proxy'], { env: { API_KEY: 'sk-a', BASE_URL: `${upstream.url}/v1`, PORT: '0', ADMIN_PORT: '0', ...env } })
  const [, port] = await outrider.printed(/listening on 127\.0\.0\.1:(\d+)/)
  return { upstream, outrider, url: `http://127.0.0.1:${port}/v1` }
}

const modelsOf = ({ seen }: Provider): unknown[] => seen.map(({ body }) => (JSON.parse(body.toString()) as { model: unknown }).model)

// A hint that is over at once, so that no test sits through a wait.
const busy = answers(503, { error: { message: 'busy', type: 'server_error' } }, { 'retry-after-ms': '1' })
const limited = answers(429, { error: { message: 'slow down' } }, { 'retry-after': '60' })

test('DEFAULT_MODEL is the model of calls that name none, and of no others', async (t) => {
  const { upstream, url } = await running(t, { mine: chat('mine'), theirs: chat('theirs') }, { DEFAULT_MODEL: 'mine' })
  for (const model of [undefined, 'theirs', '']) assert.equal((await ask({ url }, { model })).status, 200)
  assert.deepEqual(modelsOf(upstream), ['mine', 'theirs', 'mine'])
})

for (const [retries, attempts] of [
  [undefined, 3],
  ['0', 1],
  ['1', 2],
  ['4', 5],
] as const) {
  test(`MAX_RETRIES ${retries ?? 'unset'} allows ${attempts} attempt${attempts === 1 ? '' : 's'}`, async (t) => {
    const { upstream, url } = await running(t, { m: busy }, retries === undefined ? {} : { MAX_RETRIES: retries })
    const told = await ask({ url })
    assert.deepEqual([told.status, told.headers.get('x-outrider-attempts')], [503, String(attempts)])
    assert.equal(upstream.seen.length, attempts)
  })
}

for (const [what, step, asked] of [
  ['fails', busy, ['m', 'm', 'spare']],
  ['is over its limit', limited, ['m', 'spare']],
  ['is not there', answers(404, { error: { message: 'The model `m` does not exist', code: 'model_not_found' } }), ['m', 'spare']],
  ['is too small for the prompt', answers(400, { error: { message: 'too long', code: 'context_length_exceeded' } }), ['m', 'spare']],
] as const) {
  test(`FALLBACK_MODEL answers where the model asked for ${what}, and the answer says so`, async (t) => {
    const { upstream, url } = await running(t, { m: step, spare: chat('from spare') }, { FALLBACK_MODEL: 'spare' })
    const told = await ask({ url }, { stream: true })
    assert.deepEqual([told.status, told.headers.get('x-outrider-model')], [200, 'spare'])
    assert.match(told.text, /spare[^]*data: \[DONE\]\n\n$/)
    assert.deepEqual(modelsOf(upstream), asked)
  })
}

test('FALLBACK_MODEL is asked neither for what is wrong with the call, nor for a refusal on grounds of content, nor for vectors', async (t) => {
  for (const [step, path] of [
    [answers(400, { error: { message: 'no messages' } }), '/chat/completions'],
    [answers(400, { error: { message: 'no', code: 'content_policy_violation' } }), '/chat/completions'],
    [limited, '/embeddings'],
  ] as const) {
    const { upstream, url } = await running(t, { m: step, spare: chat('from spare') }, { FALLBACK_MODEL: 'spare' })
    assert.notEqual((await ask({ url }, {}, {}, path)).status, 200)
    assert.deepEqual(modelsOf(upstream), ['m'])
  }
})

test('a call that names no model goes down the same way, and MAX_RETRIES bounds all of it', async (t) => {
  const env = { DEFAULT_MODEL: 'm', FALLBACK_MODEL: 'spare', MAX_RETRIES: '1' }
  const { upstream, url } = await running(t, { m: busy, spare: busy }, env)
  const told = await ask({ url }, { model: undefined })
  assert.deepEqual([told.status, told.headers.get('x-outrider-attempts')], [503, '2'])
  assert.deepEqual(modelsOf(upstream), ['m', 'spare'])
})

test('a FALLBACK_MODEL for which MAX_RETRIES leaves no attempt is told at the start', async (t) => {
  const { outrider } = await running(t, {}, { FALLBACK_MODEL: 'spare', MAX_RETRIES: '0' })
  await outrider.printed('MAX_RETRIES: leaves none for a fallback')
})

test('with nothing to say about models the program starts without a word about them', async (t) => {
  const { outrider } = await running(t, {}, { DEFAULT_MODEL: 'm', FALLBACK_MODEL: 'spare', MAX_RETRIES: '2' })
  // The port of the status is a fixed one, which the environment cannot move: another program of the machine may have it.
  const lines = outrider.stdout().split('\n')
  const said = lines.filter((line) => !line.includes('choose another with control.port')).join('\n')
  assert.doesNotMatch(said + outrider.stderr(), /"level":"warn"|MAX_RETRIES|_MODEL/)
})
