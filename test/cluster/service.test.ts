import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { isAvailable, isReady } from './driver/conditions.ts'
import { theCluster } from './driver/cluster.ts'
import { startProvider } from './provider.ts'
import { app, outriderYaml, pod, settings } from './pods.ts'

const cluster = theCluster()

for (const headless of [false, true]) {
  const name = headless ? 'a name that leads to the pods themselves' : 'the name of a Service'
  test(`no call fails while the pods behind ${name} are replaced, twice`, (t) => replaced(t, headless))
}

async function replaced(t: TestContext, headless: boolean): Promise<void> {
  const namespace = await cluster.namespace(t)
  await startProvider(cluster, namespace, { replicas: 2, headless })
  // Remembered for five minutes, the pods that go would get new connections up to the moment of their end.
  await namespace.apply(...settings({ config: outriderYaml(headless ? 'network: { dnsCache: 1s }' : '') }))
  await namespace.apply(pod('caller', { containers: [app(['node', '/app/steady.cjs'])] }))
  const first = await providers()
  await answeredBy(first)
  for (const _ of [1, 2]) {
    const before = await providers()
    await cluster.kubectl(['rollout', 'restart', '-n', namespace.name, 'deployment/provider'])
    await namespace.waitFor('deployments', 'provider', isAvailable)
    await namespace.waitForAll('pods', (pods) => !pods.some(({ metadata }) => before.includes(metadata.name)))
    const after = await providers()
    assert.equal(after.filter((name) => before.includes(name)).length, 0)
    await answeredBy(after)
  }
  const said = namespace.logs('caller', 'app', 'follow')
  await namespace.remove('pods', 'caller')
  const [, ok = 0, failed = ''] = /ended: (\d+) ok, (\d+) failed/.exec(await said) ?? []
  assert.equal(failed, '0', await said)
  t.diagnostic(`${ok} calls`)
  assert.ok(Number(ok) > 0)

  async function providers(): Promise<readonly string[]> {
    return namespace.waitForAll('pods', (pods) => {
      const ready = pods.filter((one) => one.metadata.name.startsWith('provider') && isReady(one))
      return ready.length === 2 && ready.map(({ metadata }) => metadata.name)
    })
  }

  /** One of them is enough: connections that are kept stay with the pod that they began with. */
  async function answeredBy(names: readonly string[]): Promise<void> {
    await namespace.waitForLog('caller', 'app', new RegExp(`^answered by (${names.join('|')})$`))
  }
}
