import { wishOf } from './annotations.ts'
import { annotationsOf, hasSidecar, labelsOf, specOf, statusOf } from './pod.ts'
import { listOf, rawOf, type Raw } from './raw.ts'
import { injectLabel, sidecarName } from './names.ts'

/** Why a pod is left as it is. A person may wonder about those with a sentence, and is told it. */
export const skips = {
  host_network: {
    event: 'HostNetwork',
    message: 'it uses the network of its node, where every other such pod could call the sidecar and spend its key',
  },
  windows: { event: 'Windows', message: 'it runs on Windows, and the sidecar is built for Linux' },
  already_injected: undefined,
  foreign_sidecar: {
    event: 'AlreadyThere',
    message: `it has a container named ${sidecarName} that was not injected: rename that one, or say so with the label ${injectLabel}: disabled`,
  },
  mirror_pod: undefined,
  no_containers: undefined,
  disabled: undefined,
  system_namespace: { event: 'SystemNamespace', message: 'pods of the namespaces of Kubernetes itself (kube-*) are never touched' },
  release_namespace: { event: 'ReleaseNamespace', message: 'pods of the namespace of the injector itself are never touched' },
  unsupported_cluster: {
    event: 'UnsupportedCluster',
    message: 'mode native needs Kubernetes 1.29 or newer; legacy works here, and auto chooses it',
  },
} as const

export type Skip = keyof typeof skips

/** Why this pod is to be left alone, whatever else it asks for. */
export function skipOf(pod: Raw, namespace: string, releaseNamespace: string): Skip | undefined {
  const spec = specOf(pod)
  if (namespace.startsWith('kube-')) return 'system_namespace'
  if (namespace === releaseNamespace) return 'release_namespace'
  if ('kubernetes.io/config.mirror' in annotationsOf(pod)) return 'mirror_pod'
  if (listOf(spec['containers']).length === 0) return 'no_containers'
  if (wishOf(labelsOf(pod)) === 'disabled') return 'disabled'
  if (spec['hostNetwork'] === true) return 'host_network'
  if (isWindows(spec)) return 'windows'
  if (hasSidecar(spec) && statusOf(pod) === undefined) return 'foreign_sidecar'
  return undefined
}

function isWindows(spec: Raw): boolean {
  const selector = rawOf(spec['nodeSelector'])
  return [rawOf(spec['os'])['name'], selector['kubernetes.io/os'], selector['beta.kubernetes.io/os']].includes('windows')
}
