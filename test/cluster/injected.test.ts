// What has a label and nothing of ours beside it, on real nodes: one release for all, and each test in a namespace of its own.
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { appImage } from './app/image.ts'
import type { Resource } from './driver/api.ts'
import { theCluster } from './driver/cluster.ts'
import { condition, isAvailable, isReady } from './driver/conditions.ts'
import type { Namespace } from './driver/namespace.ts'
import { startForeignWebhook } from './foreignWebhook.ts'
import { common, type Container } from './pods.ts'
import { startProvider } from './provider.ts'
import { credentials, installRelease, labelled, releaseTestMs } from './release.ts'

const cluster = theCluster()

// A stream takes some two seconds at this pace, and an answer in one piece as long.
const tokenMs = 60

const ask = ['node', '/app/ask.cjs']
const forever = ['sleep', '3600']

/** An app that knows nothing of us, not even by its variables. */
const app = (command: readonly string[], more: Container = {}) => ({ name: 'app', image: appImage, ...common, command, ...more })
const pod = (name: string, spec: object, metadata: object = {}): object => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, ...metadata },
  spec,
})

async function labelledNamespace(t: TestContext): Promise<Namespace> {
  const apps = await cluster.namespace(t, labelled)
  await apps.apply(credentials)
  return apps
}

/** As a controller would create it: with the words of the API server where it is refused. */
async function create({ name }: Namespace, object: object): Promise<Resource> {
  return JSON.parse(await cluster.api.send('POST', `/api/v1/namespaces/${name}/pods`, object))
}

const sidecarOf = ({ spec }: Resource): Container | undefined =>
  spec.initContainers?.find(({ name }: { readonly name: string }) => name === 'outrider')

const keySeen = (said: string): string => JSON.parse(said).key

async function jobs(t: TestContext): Promise<void> {
  const apps = await labelledNamespace(t)
  const spec = { restartPolicy: 'Never', initContainers: [app(ask, { name: 'prepare' })], containers: [app(ask)] }
  const job = { backoffLimit: 0, template: { spec } }
  await apps.apply(
    { apiVersion: 'batch/v1', kind: 'Job', metadata: { name: 'once' }, spec: job },
    { apiVersion: 'batch/v1', kind: 'CronJob', metadata: { name: 'often' }, spec: { schedule: '* * * * *', jobTemplate: { spec: job } } },
  )
  for (const name of ['once', 'often']) {
    const isDone = ({ metadata, status }: Resource) => metadata.name.startsWith(name) && condition(status, 'Complete')
    await apps.waitForAll('jobs', (all) => all.find(isDone), 120_000)
    const { metadata, status } = await apps.waitForAll('pods', (all) => all.find((one) => one.metadata.name.startsWith(name)))
    for (const container of ['prepare', 'app']) assert.equal(keySeen(await apps.logs(metadata.name, container)), 'first')
    const [ours] = status.initContainerStatuses
    assert.deepEqual([ours.name, ours.state.terminated.exitCode, ours.restartCount], ['outrider', 0, 0])
  }
}

/** An ordinary container starts beside the sidecar, not after it. */
const onceServed = (program: string): readonly string[] => [
  'sh',
  '-c',
  `curl -s -o /dev/null --retry 20 --retry-delay 1 --retry-connrefused http://localhost:8080/health && exec node /app/${program}`,
]

const legacy = { annotations: { 'outrider.dev/mode': 'legacy' } }

async function oldJobs(t: TestContext): Promise<void> {
  const apps = await labelledNamespace(t)
  // One of them is over before it has begun, nearly.
  const containers = [app(onceServed('ask.cjs')), app(['true'], { name: 'short' })]
  const template = {
    metadata: legacy,
    spec: { restartPolicy: 'Never', shareProcessNamespace: true, containers },
  }
  await apps.apply({ apiVersion: 'batch/v1', kind: 'Job', metadata: { name: 'old' }, spec: { backoffLimit: 0, template } })
  await apps.waitFor('jobs', 'old', ({ status }) => condition(status, 'Complete'))
  const { metadata, spec } = await apps.waitForAll('pods', ([one]) => one)
  assert.equal(spec.initContainers, undefined)
  assert.equal(keySeen(await apps.logs(metadata.name, 'app')), 'first')
  assert.match(await apps.logs(metadata.name, 'outrider'), /every other container of the pod has ended/)
}

async function streams(t: TestContext): Promise<void> {
  const apps = await labelledNamespace(t)
  const listener = (name: string, command: readonly string[], metadata: object): object =>
    pod(name, { restartPolicy: 'Never', containers: [app(command)] }, metadata)
  await apps.apply(
    listener('native', ['node', '/app/listen.cjs'], {}),
    // The order to stop reaches both containers at once here, and the sidecar's hook holds it back.
    listener('legacy', onceServed('listen.cjs'), legacy),
  )
  for (const name of ['native', 'legacy']) {
    await apps.waitForLog(name, 'app', /^streaming/)
    const heard = apps.logs(name, 'app', 'follow')
    const served = apps.logs(name, 'outrider', 'follow')
    await apps.remove('pods', name)
    assert.match(await heard, /told to stop\n[1-9]\d* pieces after that, and the end: stop\n/)
    assert.match(await served, /nothing is in flight any more/)
  }
}

async function restricted(t: TestContext): Promise<void> {
  const apps = await labelledNamespace(t)
  const careless = { containers: [{ name: 'app', image: appImage, imagePullPolicy: 'Never', command: forever }] }
  const refused = /violates PodSecurity \\"restricted/
  await assert.rejects(create(apps, pod('without-us', careless, { labels: { 'outrider.dev/inject': 'disabled' } })), refused)
  // What is wrong is the app's alone.
  await assert.rejects(create(apps, pod('with-us', careless)), (err: Error) => {
    assert.match(err.message, refused)
    assert.match(err.message, /container \\"app\\"/)
    assert.doesNotMatch(err.message, /outrider/)
    return true
  })
  assert.ok(sidecarOf(await create(apps, pod('careful', { containers: [app(forever)] }))))
  await apps.waitFor('pods', 'careful', isReady)
  assert.equal(keySeen(await apps.exec('careful', 'app', ask)), 'first')
}

async function quota(t: TestContext): Promise<void> {
  const apps = await labelledNamespace(t)
  await apps.apply({ apiVersion: 'v1', kind: 'ResourceQuota', metadata: { name: 'cpu' }, spec: { hard: { 'limits.cpu': '1' } } })
  const path = `/api/v1/namespaces/${apps.name}/resourcequotas`
  const known = ([one]: readonly Resource[]) => one?.['status']?.used !== undefined || undefined
  await cluster.api.watch(path, {}, { what: 'the quota is kept', boundMs: 30_000, look: known })
  const spec = { containers: [app(forever, { resources: { limits: { cpu: '100m' } } })] }
  await assert.rejects(create(apps, pod('refused', spec)), /failed quota: cpu: must specify limits\.cpu for: outrider/)
  await create(apps, pod('limited', spec, { annotations: { 'outrider.dev/cpu-limit': '200m' } }))
  await apps.waitFor('pods', 'limited', isReady)
  const [{ status }] = (await cluster.api.list(path)) as [Resource]
  assert.equal(status.used['limits.cpu'], '300m')
}

async function stripped(t: TestContext): Promise<void> {
  const apps = await labelledNamespace(t)
  let seen = 0
  await startForeignWebhook(t, cluster, apps, (spec) => {
    seen += spec.initContainers?.filter((one) => 'restartPolicy' in one).length ?? 0
    return { ...spec, initContainers: spec.initContainers?.map(({ restartPolicy: _, ...known }) => known) ?? [] }
  })
  // Without that field the app would wait for the end of the sidecar for ever.
  const created = await create(apps, pod('repaired', { containers: [app(forever)] }))
  assert.equal(seen, 1)
  assert.equal(sidecarOf(created)?.['restartPolicy'], 'Always')
  await apps.waitFor('pods', 'repaired', isReady)
  assert.equal(keySeen(await apps.exec('repaired', 'app', ask)), 'first')
}

async function reinvoked(t: TestContext): Promise<void> {
  const apps = await labelledNamespace(t)
  await startForeignWebhook(t, cluster, apps, (spec) => ({ ...spec, containers: [...spec.containers, app(forever, { name: 'late' })] }))
  const { spec } = await create(apps, pod('joined', { containers: [app(forever)] }))
  assert.deepEqual(
    spec.initContainers.map(({ name }: { readonly name: string }) => name),
    ['outrider'],
  )
  await apps.waitFor('pods', 'joined', isReady)
  assert.equal(keySeen(await apps.exec('joined', 'late', ask)), 'first')
}

const deployment = (name: string, container: Container): object => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name },
  spec: {
    replicas: 1,
    selector: { matchLabels: { app: name } },
    template: { metadata: { labels: { app: name } }, spec: { containers: [container] } },
  },
})

async function autoscaled(t: TestContext): Promise<void> {
  const apps = await labelledNamespace(t)
  const target = { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web' }
  const metrics = [{ type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 50 } } }]
  await apps.apply(deployment('web', app(forever, { resources: { requests: { cpu: '10m' } } })), {
    apiVersion: 'autoscaling/v2',
    kind: 'HorizontalPodAutoscaler',
    metadata: { name: 'web' },
    spec: { scaleTargetRef: target, minReplicas: 1, maxReplicas: 2, metrics },
  })
  // One container without a request, and it could compute nothing.
  const current = await apps.waitFor(
    'horizontalpodautoscalers',
    'web',
    ({ status }) => condition(status, 'ScalingActive') && status.currentMetrics?.[0]?.resource?.current,
    150_000,
  )
  assert.equal(typeof current.averageUtilization, 'number')
  t.diagnostic(`the autoscaler sees ${current.averageUtilization}% of what app and sidecar request`)
}

async function down(t: TestContext, home: Namespace): Promise<void> {
  const [apps, others] = [await labelledNamespace(t), await cluster.namespace(t)]
  const scale = (count: number) => cluster.kubectl(['scale', 'deployment/outrider-injector', '-n', home.name, `--replicas=${count}`])
  await scale(0)
  await home.waitForAll('pods', (all) => !all.some(({ metadata }) => metadata.name.startsWith('outrider-injector')))
  for (const namespace of [apps, others]) await namespace.apply(deployment('web', app(forever)))
  await others.waitFor('deployments', 'web', isAvailable)
  const refused = /failed calling webhook "namespace\.injector\.outrider\.dev"/
  const isTold = ({ reason, message }: Resource) => reason === 'FailedCreate' && refused.test(message)
  await apps.waitForAll('events', (all) => all.some(isTold))
  assert.deepEqual(await apps.list('pods'), [])
  await scale(2)
  await home.waitFor('deployments', 'outrider-injector', isAvailable)
  // Its controller has tried again and again, each time after a longer while.
  await apps.waitFor('deployments', 'web', isAvailable, 120_000)
  const [created] = (await apps.list('pods')) as [Resource]
  assert.ok(sidecarOf(created))
}

test('on nodes, with a label and no more', { timeout: releaseTestMs, concurrency: true }, async (t) => {
  const { home } = await installRelease(t, cluster, (name) => `provider.${name}`)
  await startProvider(cluster, home, { tokenMs })
  await Promise.all([
    t.test('a Job and one of a CronJob complete, and their init containers can call as well', jobs),
    t.test('in legacy mode a Job completes whose containers share their processes', oldJobs),
    t.test('a stream lives on to its end while the app is told to stop, and the sidecar leaves after it, in legacy mode too', streams),
    t.test('a restricted namespace refuses what is wrong with an app, and nothing of the sidecar', restricted),
    t.test('a quota on CPU limits refuses the pod by the name of the sidecar, and an annotation gives it one', quota),
    t.test('a webhook that drops fields that it does not know does no harm', stripped),
    t.test('a container that another webhook adds after us can call as well', reinvoked),
    t.test('the HorizontalPodAutoscaler of an app still computes', autoscaled),
  ])
  await t.test('while no injector is there labelled pods wait and all others start; when it is back, they follow', (one) => down(one, home))
})
