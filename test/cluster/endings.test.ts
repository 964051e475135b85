import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Resource } from './driver/api.ts'
import { isReady } from './driver/conditions.ts'
import { theCluster } from './driver/cluster.ts'
import { startProvider } from './provider.ts'
import { app, pod, podSpec, settings, sidecar } from './pods.ts'

const cluster = theCluster()

// A stream takes some two seconds at this pace, far less than the grace of a pod.
const tokenMs = 60

const finished = /told to stop\n[1-9]\d* pieces after that, and the end: stop\n/

test('a stream lives on to its end while the app is told to stop, and the sidecar leaves after it', async (t) => {
  const namespace = await cluster.namespace(t)
  await startProvider(cluster, namespace, { tokenMs })
  await namespace.apply(...settings())
  await namespace.apply(pod('listener', { containers: [app(['node', '/app/listen.cjs'])], more: { restartPolicy: 'Never' } }))
  await namespace.waitForLog('listener', 'app', /^streaming/)
  const listened = namespace.logs('listener', 'app', 'follow')
  const served = namespace.logs('listener', 'outrider', 'follow')
  await namespace.remove('pods', 'listener')
  const heard = await listened
  assert.match(heard, finished)
  assert.match(await served, /nothing is in flight any more/)
  await namespace.waitForAll('pods', (pods) => !pods.some(({ metadata }) => metadata.name === 'listener'))
})

test('a drained node lets a stream end, and its pod goes on calling from the other node', async (t) => {
  const namespace = await cluster.namespace(t)
  await startProvider(cluster, namespace, { tokenMs })
  await namespace.apply(...settings())
  const [{ spec: where }] = (await namespace.list('pods')) as [Resource]
  const metadata = { labels: { app: 'listener' } }
  // Away from the provider, for that is not what is drained.
  const apart = { labelSelector: { matchLabels: { app: 'provider' } }, topologyKey: 'kubernetes.io/hostname' }
  const affinity = { podAntiAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 100, podAffinityTerm: apart }] } }
  const spec = podSpec({ containers: [app(['node', '/app/listen.cjs'])], more: { affinity } })
  await namespace.apply({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'listener' },
    spec: { replicas: 1, selector: { matchLabels: metadata.labels }, template: { metadata, spec } },
  })
  const before = await namespace.waitForAll('pods', listener)
  const { nodeName } = before['spec']
  assert.notEqual(nodeName, where.nodeName)
  await namespace.waitForLog(before.metadata.name, 'app', /^streaming/)
  const heard = namespace.logs(before.metadata.name, 'app', 'follow')
  t.after(() => cluster.kubectl(['uncordon', nodeName]))
  // Only ours, for other tests have pods there too.
  await cluster.kubectl(['drain', nodeName, '--pod-selector=app=listener', '--ignore-daemonsets', '--timeout=60s'])
  assert.match(await heard, finished)
  const after = await namespace.waitForAll('pods', (pods) => {
    const found = listener(pods)
    return found?.metadata.name === before.metadata.name ? undefined : found
  })
  assert.notEqual(after['spec'].nodeName, nodeName)
  assert.equal(JSON.parse(await namespace.exec(after.metadata.name, 'app', ['node', '/app/ask.cjs'])).key, 'first')
})

function listener(pods: readonly Resource[]): Resource | undefined {
  return pods.find((one) => one.metadata.name.startsWith('listener') && isReady(one))
}

test('a sidecar that runs out of memory comes back, and the next call of the app is answered', async (t) => {
  const namespace = await cluster.namespace(t)
  // Room for the sidecar, but not for all that is about to be started beside it.
  const resources = { requests: { memory: '64Mi' }, limits: { memory: '96Mi' } }
  const parts = { containers: [app(['sleep', '3600'])], sidecar: sidecar({ resources }) }
  await startProvider(cluster, namespace)
  await namespace.apply(...settings(), pod('small', parts))
  await namespace.waitFor('pods', 'small', isReady)
  const ask = () => namespace.exec('small', 'app', ['node', '/app/ask.cjs'])
  const before = JSON.parse(await ask())
  assert.equal(before.key, 'first')
  // They are smaller than the proxy each, so it is the one that the kernel chooses.
  const crowd = Array.from({ length: 8 }, () => namespace.exec('small', 'outrider', ['outrider', 'sleep', '60s']).catch(() => 'killed'))
  const reason = await namespace.waitFor('pods', 'small', ({ status }) => {
    const [ours] = status.initContainerStatuses
    return ours.restartCount > 0 && ours.lastState.terminated?.reason
  })
  assert.equal(reason, 'OOMKilled')
  await Promise.all(crowd)
  await namespace.waitFor('pods', 'small', ({ status }) => status.initContainerStatuses[0].ready)
  assert.equal(JSON.parse(await ask()).key, 'first')
  const { status } = await namespace.waitFor('pods', 'small', (found) => found)
  assert.equal(status.containerStatuses[0].restartCount, 0)
})
