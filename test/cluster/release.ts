// The chart, installed by Helm as people do it, with injectors that run in the cluster.
import type { TestContext } from 'node:test'
import { version } from '../../sidecar/version.ts'
import type { Cluster } from './driver/cluster.ts'
import { isAvailable } from './driver/conditions.ts'
import type { Namespace } from './driver/namespace.ts'
import { chart } from './installed.ts'
import { kubectlEnv } from './machine/kubectl.ts'
import { placeOf } from './machine/place.ts'
import { tool } from './machine/programs.ts'
import { run } from './machine/run.ts'

/** Of namespaces in which pods get a sidecar. Restricted, as every namespace of the tests is. */
export const labelled = { 'pod-security.kubernetes.io/enforce': 'restricted', 'outrider.dev/inject': 'enabled' }

/** What the profile of the release reads the key from. */
export const credentials = {
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name: 'outrider-credentials' },
  stringData: { provider: 'sk-first' },
}

export type Release = {
  /** The namespace of the release, which pods get no sidecar in. */
  readonly home: Namespace
  readonly uninstall: () => Promise<void>
}

// The one webhook of a cluster asks one release, and test files run side by side.
const turn = { folder: '/api/v1/namespaces/kube-system/configmaps', name: 'release-of-the-tests' }
const turnMs = 400_000

/** Longer than a test may take otherwise: it may have to wait for the release of another one. */
export const releaseTestMs = 600_000

/** Installs the chart with one profile, whose provider is called so; gone after the test. */
export async function installRelease(t: TestContext, cluster: Cluster, host: (home: string) => string): Promise<Release> {
  const leave = await takeTurn(cluster)
  let installed: Namespace | undefined
  const uninstall = async (): Promise<void> => {
    const from = installed
    installed = undefined
    if (from !== undefined) await helm(['uninstall', 'outrider', '-n', from.name])
  }
  // Before the namespace goes, and with it what Helm knows.
  t.after(async () => {
    await uninstall()
    await leave()
  })
  const home = await cluster.namespace(t)
  installed = home
  const upstreams = [{ name: 'provider', url: `http://${host(home.name)}:8000/v1`, credential: 'provider' }]
  const values = {
    image: { repository: 'localhost/outrider', tag: version, pullPolicy: 'Never' },
    profiles: { default: { config: { upstreams } } },
  }
  await helm(['install', 'outrider', chart, '-n', home.name, '--values', '-'], JSON.stringify(values))
  await home.waitFor('deployments', 'outrider-injector', isAvailable)
  return { home, uninstall }
}

async function helm(args: readonly string[], input = ''): Promise<string> {
  const place = placeOf(process.env['CLUSTER'] ?? 'default')
  const { folder } = place
  const env = { ...kubectlEnv(place), HELM_CACHE_HOME: folder, HELM_CONFIG_HOME: folder, HELM_DATA_HOME: folder }
  return run(await tool('helm4'), args, { env, input })
}

/** Resolves when no other release is there, with the end of the turn. */
async function takeTurn({ api }: Cluster): Promise<() => Promise<unknown>> {
  const began = performance.now()
  const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: turn.name } }
  const take = async (): Promise<boolean> => {
    try {
      await api.send('POST', turn.folder, body)
      return true
    } catch (err) {
      if (!(err as Error).message.includes('AlreadyExists')) throw err
      return false
    }
  }
  while (!(await take())) {
    await api.watch(
      turn.folder,
      { fieldSelector: `metadata.name=${turn.name}` },
      {
        what: 'the end of the release of another test',
        boundMs: Math.max(1, Math.round(turnMs - (performance.now() - began))),
        look: (all) => (all.length === 0 ? true : undefined),
      },
    )
  }
  return () => api.send('DELETE', `${turn.folder}/${turn.name}`)
}
