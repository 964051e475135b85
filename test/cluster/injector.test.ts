import assert from 'node:assert/strict'
import { test } from 'node:test'
import timers from 'node:timers/promises'
import { isReady } from './driver/conditions.ts'
import { theCluster } from './driver/cluster.ts'
import { appImage } from './app/image.ts'
import { common } from './pods.ts'
import { startProvider } from './provider.ts'
import { credentials, installRelease, labelled, releaseTestMs } from './release.ts'

const cluster = theCluster()

test(
  'the chart by Helm, a label, and an app without a key is answered; the injector is replaced without a failed admission, and leaves nothing',
  { timeout: releaseTestMs },
  async (t) => {
    const { home, uninstall } = await installRelease(t, cluster, () => 'provider')
    const apps = await cluster.namespace(t, labelled)
    // Before anything else: the provider is a pod of a labelled namespace too, and sidecars wait for it.
    await apps.apply(credentials)
    await startProvider(cluster, apps)
    await apps.apply({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'app' },
      spec: { containers: [{ name: 'app', image: appImage, ...common, command: ['sleep', '3600'] }] },
    })
    await apps.waitFor('pods', 'app', isReady)
    assert.equal(JSON.parse(await apps.exec('app', 'app', ['node', '/app/ask.cjs'])).key, 'first')

    // Every pod of the injector is replaced while others ask.
    let restarting = true
    const failures: string[] = []
    let admitted = 0
    const load = (async () => {
      while (restarting) {
        const object = { metadata: { name: `p${admitted}` }, spec: { containers: [{ name: 'app', image: 'app', ...common }] } }
        try {
          // It would be refused if no injector could be asked.
          await cluster.api.send('POST', `/api/v1/namespaces/${apps.name}/pods?dryRun=All`, { apiVersion: 'v1', kind: 'Pod', ...object })
          admitted++
        } catch (err) {
          failures.push((err as Error).message)
        }
        await timers.setTimeout(20)
      }
    })()
    await cluster.kubectl(['rollout', 'restart', 'deployment/outrider-injector', '-n', home.name])
    await cluster.kubectl(['rollout', 'status', 'deployment/outrider-injector', '-n', home.name, '--timeout=120s'])
    await home.waitForAll('pods', (pods) => pods.length === 2)
    restarting = false
    await load
    assert.deepEqual(failures, [])
    assert.ok(admitted > 50, `${admitted} admissions`)
    t.diagnostic(`${admitted} admissions while both replicas were replaced`)

    await uninstall()
    // What the injector has made goes with its ServiceAccount.
    await home.waitForAll('secrets', (secrets) => secrets.every(({ metadata }) => metadata['name'] !== 'outrider-injector-ca'))
  },
)
