import assert from 'node:assert/strict'
import { test } from 'node:test'
import { chat, provider } from '../fixtures/provider.ts'
import { program, tempFile } from '../fixtures/runOutrider.ts'

const listening = /listening on 127\.0\.0\.1:(\d+).*admin port (\d+).*, upstream (\S+) \((\S+)\)/

test('a key and a URL in the environment are enough to serve', async (t) => {
  const llm = await provider(t, [chat('hello')])
  const env = { API_KEY: 'sk-from-env', BASE_URL: `${llm.url}/v1`, PORT: '0', ADMIN_PORT: '0', LOG_LEVEL: 'INFO', MAX_RETRIES: '3' }
  const running = program(t, ['proxy'], { env })
  const [, port] = await running.printed(listening)
  const reply = await fetch(`http://127.0.0.1:${port}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: 'Bearer placeholder' },
    body: '{"model":"m","messages":[]}',
  })
  assert.equal(reply.status, 200)
  await reply.text()
  assert.equal(llm.seen[0]?.headers['authorization'], 'Bearer sk-from-env')
  running.child.kill('SIGTERM')
  assert.deepEqual(await running.exit, { code: 0, signal: null })
  assert.doesNotMatch(running.stdout() + running.stderr(), /sk-from-env/)
})

test('a key alone starts against the provider that its name says', async (t) => {
  for (const [name, upstream, origin] of [
    ['HOLYSHEEP_API_KEY', 'holysheep', 'https://api.holysheep.ai'],
    ['OPENAI_API_KEY', 'openai', 'https://api.openai.com'],
  ] as const) {
    const running = program(t, ['proxy'], { env: { [name]: 'sk-a', PORT: '0', ADMIN_PORT: '0' } })
    const found = await running.printed(listening)
    assert.deepEqual(found.slice(3), [upstream, origin])
    running.child.kill('SIGKILL')
    await running.exit
  }
})

test('an environment that says nothing, or two things, is refused with 64 and what to set', async (t) => {
  const empty = program(t, ['proxy'])
  assert.equal((await empty.exit).code, 64)
  assert.match(
    empty.stderr(),
    /^The config is refused:\nenvironment: has neither a key nor a URL: set HOLYSHEEP_API_KEY .* --config FILE\n$/,
  )
  const two = program(t, ['proxy'], { env: { API_KEY: 'sk-one', OPENAI_API_KEY: 'sk-two', BASE_URL: 'https://a.example' } })
  assert.equal((await two.exit).code, 64)
  assert.match(two.stderr(), /\nenvironment API_KEY and OPENAI_API_KEY: contradict each other/)
  assert.doesNotMatch(two.stderr(), /sk-/)
})

test('a config file takes from the environment what it names, and nothing else', async (t) => {
  const llm = await provider(t, [])
  const text = `
listen: { port: 0 }
admin: { host: 127.0.0.1, port: "\${WHERE:-0}" }
upstreams: [{ name: mine, url: "\${LLM}/v1" }]
log: { level: "\${LOG_LEVEL}" }
`
  const env = { LLM: llm.url, LOG_LEVEL: 'info', PORT: '1', OPENAI_API_KEY: 'sk-a' }
  const running = program(t, ['proxy', '--config', tempFile(t, 'outrider.yaml', text)], { env })
  const found = await running.printed(listening)
  assert.deepEqual(found.slice(3), ['mine', llm.url])
  await running.printed('OPENAI_API_KEY and PORT in the environment do nothing beside a config file')
  running.child.kill('SIGTERM')
  assert.deepEqual(await running.exit, { code: 0, signal: null })
})
