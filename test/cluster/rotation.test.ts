import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isReady } from './driver/conditions.ts'
import { theCluster } from './driver/cluster.ts'
import { app, outriderYaml, pod, settings } from './pods.ts'
import { startProvider } from './provider.ts'

const cluster = theCluster()

test('a key that kubectl has changed is used by the next calls, without a restart', async (t) => {
  const namespace = await cluster.namespace(t)
  await startProvider(cluster, namespace)
  await namespace.apply(...settings({ key: 'sk-first' }), pod('app', { containers: [app(['sleep', '3600'])] }))
  await namespace.waitFor('pods', 'app', isReady)
  const key = async (): Promise<string> => JSON.parse(await namespace.exec('app', 'app', ['node', '/app/ask.cjs'])).key
  assert.equal(await key(), 'first')
  await namespace.apply(...settings({ key: 'sk-second' }))
  await namespace.waitForLog('app', 'outrider', /credential .* has changed/)
  assert.equal(await key(), 'second')
  assert.equal(await restarts(namespace), 0)
})

test('a config that kubectl has changed is taken up without a restart, and a bad one is refused', async (t) => {
  const namespace = await cluster.namespace(t)
  await startProvider(cluster, namespace)
  await namespace.apply(...settings(), pod('app', { containers: [app(['sleep', '3600'])] }))
  await namespace.waitFor('pods', 'app', isReady)
  await namespace.apply(...settings({ config: outriderYaml('limits: { inFlight: 7 }') }))
  await namespace.waitForLog('app', 'outrider', /limits\.inFlight: 1000 → 7/)
  await namespace.apply(...settings({ config: outriderYaml('limits: { inFlight: none }') }))
  await namespace.waitForLog('app', 'outrider', /refused/)
  assert.equal(JSON.parse(await namespace.exec('app', 'app', ['node', '/app/ask.cjs'])).key, 'first')
  assert.equal(await restarts(namespace), 0)
})

test('a pod waits for its Secret, which an Event names, and starts when it is there', async (t) => {
  const namespace = await cluster.namespace(t)
  const [secret, config] = settings()
  await startProvider(cluster, namespace)
  await namespace.apply(config ?? {}, pod('early', { containers: [app(['sleep', '3600'])] }))
  await namespace.waitForAll('events', (events) => events.some(({ reason }) => String(reason) === 'FailedMount'))
  assert.match((await namespace.events()).join('\n'), /Pod\/early FailedMount: .*secret "outrider-credentials" not found/)
  await namespace.apply(secret ?? {})
  await namespace.waitFor('pods', 'early', isReady)
  assert.equal(JSON.parse(await namespace.exec('early', 'app', ['node', '/app/ask.cjs'])).key, 'first')
})

async function restarts(namespace: Awaited<ReturnType<typeof cluster.namespace>>): Promise<number> {
  const pods = await namespace.list('pods')
  return pods.flatMap(({ status }) => status.initContainerStatuses ?? []).reduce((sum, { restartCount }) => sum + restartCount, 0)
}
