import { appImage } from './app/image.ts'
import { isAvailable } from './driver/conditions.ts'
import type { Cluster } from './driver/cluster.ts'
import type { Namespace } from './driver/namespace.ts'
import { common } from './pods.ts'

/**
 * Starts a fake provider behind a Service, and returns when every node reaches it: kube-proxy learns of a pod only after it is ready, on each
 * node for itself.
 */
export async function startProvider(cluster: Cluster, namespace: Namespace, options: ProviderOptions = {}): Promise<void> {
  await namespace.apply(...provider(options))
  await namespace.waitFor('deployments', 'provider', isAvailable)
  const address = await namespace.waitFor('services', 'provider', ({ spec }) => spec.clusterIP)
  await cluster.reachable(`http://${address}:8000/healthz`)
}

type ProviderOptions = { readonly tokenMs?: number; readonly replicas?: number; readonly apart?: boolean }

const onePerNode = {
  requiredDuringSchedulingIgnoredDuringExecution: [
    { labelSelector: { matchLabels: { app: 'provider' } }, topologyKey: 'kubernetes.io/hostname' },
  ],
}

/** A fake provider behind a Service called provider, which takes two keys and says which of them it saw. */
function provider({ tokenMs = 0, replicas = 1, apart = false }: ProviderOptions = {}): readonly object[] {
  const labels = { app: 'provider' }
  const env = { KEYS: 'first=sk-first,second=sk-second', TOKEN_MS: String(tokenMs) }
  const container = {
    name: 'provider',
    image: appImage,
    ...common,
    command: ['node', '/app/provider.cjs'],
    env: Object.entries(env).map(([name, value]) => ({ name, value })),
    readinessProbe: { httpGet: { path: '/healthz', port: 8000 }, periodSeconds: 1 },
  }
  return [
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'provider' },
      spec: {
        replicas,
        selector: { matchLabels: labels },
        template: {
          metadata: { labels },
          spec: {
            automountServiceAccountToken: false,
            containers: [container],
            ...(apart && { affinity: { podAntiAffinity: onePerNode } }),
          },
        },
      },
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'provider' },
      spec: { selector: labels, ports: [{ port: 8000 }] },
    },
  ]
}
