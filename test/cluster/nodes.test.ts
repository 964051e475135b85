import assert from 'node:assert/strict'
import { test } from 'node:test'
import { condition } from './driver/conditions.ts'
import { theCluster } from './driver/cluster.ts'
import { until } from './machine/until.ts'
import { startProvider } from './provider.ts'

const cluster = theCluster()
const measuredMs = 60_000

test('there are two nodes, each Ready, of the Kubernetes that was asked for', async () => {
  const nodes = await cluster.api.list('/api/v1/nodes')
  assert.deepEqual(nodes.map(({ metadata }) => metadata.name).toSorted(), ['node-1', 'node-2'])
  for (const { status } of nodes) {
    assert.ok(condition(status, 'Ready'))
    assert.match(status.nodeInfo.containerRuntimeVersion, /^containerd:\/\/v?2\./)
    assert.equal(status.nodeInfo.kubeletVersion, `v${cluster.state.kubernetes}`)
  }
})

test('pods that keep apart run on both nodes, and reach each other, Services and names of the cluster, but nothing outside of it', async (t) => {
  const namespace = await cluster.namespace(t)
  await startProvider(cluster, namespace, { replicas: 2, apart: true })
  const pods = await namespace.list('pods')
  assert.deepEqual(pods.map(({ spec }) => String(spec.nodeName)).toSorted(), ['node-1', 'node-2'])
  const addresses = pods.map(({ status }) => String(status.podIP))
  const names = ['provider', `provider.${namespace.name}.svc.cluster.local`]
  for (const { metadata } of pods) {
    const curl = (host: string) => namespace.exec(metadata.name, 'provider', ['curl', '-sSi', '-m', '10', `http://${host}:8000/healthz`])
    for (const host of [...addresses, ...names]) assert.match(await curl(host), /^HTTP\/1\.1 200 /)
    await assert.rejects(curl('example.com'), /Could not resolve host/)
    await assert.rejects(curl('192.0.2.1'), /unreachable|Failed to connect/)
  }
})

test('metrics-server tells what each node takes, through the API server', async () => {
  await cluster.kubectl(['wait', '--for=condition=Available', '--timeout=90s', 'apiservice/v1beta1.metrics.k8s.io'])
  // Its API cannot be watched, and a node is in it after two readings.
  const usage = await until('both nodes are measured', () => measured(), measuredMs)
  for (const {
    usage: { cpu, memory },
  } of usage)
    assert.match(`${cpu} ${memory}`, /^[1-9]\d*n [1-9]\d*Ki$/)
})

type Usage = { readonly usage: { readonly cpu: string; readonly memory: string } }

async function measured(): Promise<readonly Usage[] | undefined> {
  const { items }: { items: readonly Usage[] } = JSON.parse(await cluster.api.get('/apis/metrics.k8s.io/v1beta1/nodes'))
  return items.length === 2 ? items : undefined
}
