import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { mountedSecret } from '../fixtures/mountedSecret.ts'
import { chat, paced, provider } from '../fixtures/provider.ts'
import { program, runOutrider, type Outrider } from '../fixtures/runOutrider.ts'
import type { Document } from '../fixtures/startSidecar.ts'
import { container, type Container, type ContainerOptions } from './container.ts'

interface Running extends Outrider {
  readonly container: Container
  readonly change: (document: Document) => void
}

/** The image as a sidecar: its config is a mounted ConfigMap. */
async function sidecar(t: TestContext, upstreamUrl: string, options: ContainerOptions = {}): Promise<Running> {
  const volume = mountedSecret(t, {})
  const box = container(t, { ...options, mounts: { '/etc/outrider': volume.path } })
  const put = (text: string): string => {
    volume.swap({ 'outrider.json': text })
    return '/etc/outrider/outrider.json'
  }
  const running = await runOutrider(t, upstreamUrl, { drain: { idleExit: '0s' } }, { put, command: box.command })
  return { ...running, container: box, change: (document) => volume.swap({ 'outrider.json': running.configText(document) }) }
}

const ask = (outrider: Outrider, stream = false): Promise<Response> =>
  fetch(`${outrider.url}/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'm', stream, messages: [] }),
    signal: AbortSignal.timeout(20_000),
  })

// What the image says, what OpenShift gives (any user, group 0), and any user at all.
for (const user of ['65532:65532', '1000770000:0', '12345:54321']) {
  test(`as user ${user} with 96 MiB it serves, is asked how it is, and finishes the stream under way when told to stop`, async (t) => {
    const stream = paced()
    const upstream = await provider(t, [chat('whole'), stream])
    const running = await sidecar(t, upstream.url, { user, memoryMiB: 96 })
    assert.match(await (await ask(running)).text(), /whole/)
    const health = running.container.exec('outrider', 'health', '--url', running.adminUrl)
    assert.deepEqual([health.code, health.stderr], [0, ''])
    assert.match(health.stdout, /readyz says ok/)

    const reply = ask(running, true)
    await stream.send({ choices: [{ delta: { content: 'one' } }] })
    const streaming = await reply
    running.container.signal('TERM')
    await running.printed('told to stop')
    await stream.send({ choices: [{ delta: { content: 'two' } }] })
    await stream.send('[DONE]')
    await stream.end()
    const text = await streaming.text()
    assert.match(text, /one[\s\S]*two/)
    assert.match(text, /data: \[DONE\]\n\n$/)
    assert.deepEqual(await running.exit, { code: 0, signal: null })
    assert.equal(running.stderr(), '')
  })
}

test('a changed ConfigMap is taken up, and one that cannot be used is refused while calls go on', async (t) => {
  const upstream = await provider(t, [chat('before'), chat('after'), chat('still')])
  const running = await sidecar(t, upstream.url)
  assert.match(await (await ask(running)).text(), /before/)
  running.change({ limits: { inFlight: 77 } })
  await running.printed(/limits\.inFlight: \d+ → 77/)
  assert.match(await (await ask(running)).text(), /after/)
  running.change({ limits: { inFlight: 'many' } })
  await running.printed(/inFlight.*many/)
  assert.match(await (await ask(running)).text(), /still/)
})

test('a bad config ends it with 64 and words that say what is wrong and where', async (t) => {
  const volume = mountedSecret(t, { 'outrider.yaml': 'upstreams:\n  - name: fake\n    url: htp://model\nlimits: { inFlight: many }\n' })
  const { command } = container(t, { mounts: { '/etc/outrider': volume.path } })
  const run = program(t, ['proxy', '--config', '/etc/outrider/outrider.yaml'], { command })
  assert.deepEqual(await run.exit, { code: 64, signal: null })
  const said = run.stderr() + run.stdout()
  assert.match(said, /outrider\.yaml:3/)
  assert.match(said, /limits\.inFlight/)
  assert.doesNotMatch(said, /\n\s+at /, 'no stack trace')
})

test('with no config at all the key in the environment is enough, and other commands run by their name', async (t) => {
  const box = container(t, { env: { OPENAI_API_KEY: 'sk-test-of-the-image', OUTRIDER_ADMIN_PORT: '0' } })
  const run = program(t, ['proxy'], { command: box.command })
  await run.printed('listening')
  const version = box.exec('outrider', '--version')
  assert.deepEqual([version.code, version.stderr], [0, ''])
  assert.match(version.stdout, /^outrider \d/)
  assert.equal(box.exec('outrider', 'sleep', '1ms').code, 0)
  assert.doesNotMatch(run.stdout(), /sk-test-of-the-image/)
})
