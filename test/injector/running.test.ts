import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { decide } from '../../sidecar/injector/decide.ts'
import { parseProfile } from '../../sidecar/injector/profile.ts'
import { listOf, nameOf, rawOf, textOf, type Raw } from '../../sidecar/injector/raw.ts'
import { chat, provider } from '../fixtures/provider.ts'
import { program, tempFile, type Program } from '../fixtures/runOutrider.ts'
import { settingsWith } from './injection.ts'
import { podWith } from './served.ts'

async function injected(upstream: string, mode: 'native' | 'legacy'): Promise<Raw> {
  const text = `
config: { upstreams: [{ name: fake, url: '${upstream}/v1', credential: fake }] }
secret: { keys: { fake: FAKE_KEY } }
`
  const { profile } = await parseProfile('default', text, 'profile.yaml')
  const pod = podWith({ metadata: { annotations: { 'outrider.dev/mode': mode } } })
  const decision = decide({ pod, namespace: 'team-a' }, settingsWith(new Map([['default', profile]])))
  assert.equal(decision.result, 'injected')
  return decision.pod
}

interface Started extends Program {
  /** Where the pod's own ports have ended up: a test must not count on 8080 being free. */
  readonly at: (port: unknown) => number
}

/** Starts the container of the sidecar as the kubelet would, but with its files in a folder of the test and on free ports. */
async function started(t: TestContext, pod: Raw): Promise<Started> {
  const spec = rawOf(pod['spec'])
  const container = [...listOf(spec['initContainers']), ...listOf(spec['containers'])].find((one) => nameOf(one) === 'outrider')
  const key = tempFile(t, 'FAKE_KEY', 'sk-the-real-key-of-the-test')
  const annotation = textOf(rawOf(rawOf(pod['metadata'])['annotations'])['outrider.dev/config']) ?? ''
  const config = JSON.parse(annotation.replaceAll('/etc/outrider/credentials', dirname(key))) as Record<string, { port: number }>
  const listeners = ['listen', 'admin', 'control'].map((name) => config[name] ?? { port: 0 })
  const ports = listeners.map(({ port }) => port)
  for (const listener of listeners) listener.port = 0
  const file = join(dirname(key), 'config.json')
  writeFileSync(file, JSON.stringify(config))
  assert.ok(container !== undefined)
  const args = (container['args'] as string[]).map((arg) => arg.replace('/etc/outrider/profile/config.json', file))
  const running = program(t, args)
  const [, ...found] = await running.printed(/listening on 127\.0\.0\.1:(\d+).*admin port (\d+), control port (\d+)/)
  return { ...running, at: (port) => Number(found[ports.indexOf(Number(port))]) }
}

function variablesOf(pod: Raw): Readonly<Record<string, string>> {
  const app = listOf(rawOf(pod['spec'])['containers']).find((one) => nameOf(one) === 'app') ?? {}
  return Object.fromEntries(listOf(app['env']).map((entry) => [nameOf(entry), textOf(entry['value']) ?? '']))
}

const statusOf = (pod: Raw): Raw => JSON.parse(textOf(rawOf(rawOf(pod['metadata'])['annotations'])['outrider.dev/status']) ?? '') as Raw

test('what is put in runs as it stands, and the variables lead the app to the provider, with the key that it has not', async (t) => {
  const llm = await provider(t, chat('hello'))
  const pod = await injected(llm.url, 'native')
  const outrider = await started(t, pod)
  const env = variablesOf(pod)
  const url = new URL(`${env['OPENAI_BASE_URL']}/chat/completions`)
  url.port = String(outrider.at(url.port))
  const reply = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${env['OPENAI_API_KEY']}` },
    body: JSON.stringify({ model: 'm', messages: [] }),
  })
  assert.match(await reply.text(), /hello/)
  assert.equal(llm.seen[0]?.headers['authorization'], 'Bearer sk-the-real-key-of-the-test')
  const sidecar = listOf(rawOf(pod['spec'])['initContainers'])[0] as Record<string, { httpGet: { path: string; port: number } }>
  for (const name of ['startupProbe', 'readinessProbe', 'livenessProbe']) {
    const { path = '', port } = sidecar[name]?.httpGet ?? {}
    const probe = await fetch(`http://127.0.0.1:${outrider.at(port)}${path}`)
    assert.deepEqual([probe.status, await probe.text()], [200, 'ok\n'], name)
  }
  const quit = await fetch(`http://localhost:${outrider.at(statusOf(pod)['control'])}/control/quit`, { method: 'POST' })
  assert.equal(quit.status, 405)
  await quit.text()
})

test('in legacy mode the app of a Job can end it', async (t) => {
  const llm = await provider(t, [])
  const pod = await injected(llm.url, 'legacy')
  const outrider = await started(t, pod)
  const quit = await fetch(`http://localhost:${outrider.at(statusOf(pod)['control'])}/control/quit`, { method: 'POST' })
  assert.equal(quit.status, 202)
  await quit.text()
  assert.deepEqual(await outrider.exit, { code: 0, signal: null })
})
