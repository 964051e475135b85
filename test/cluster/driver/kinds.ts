const core = '/api/v1'

const groups: Readonly<Record<string, string>> = {
  pods: core,
  services: core,
  secrets: core,
  configmaps: core,
  serviceaccounts: core,
  events: core,
  endpointslices: '/apis/discovery.k8s.io/v1',
  deployments: '/apis/apps/v1',
  replicasets: '/apis/apps/v1',
  jobs: '/apis/batch/v1',
  horizontalpodautoscalers: '/apis/autoscaling/v2',
}

/** Where the API server has the objects of a kind, named in the plural as in URLs. */
export function pathOf(kind: string, namespace: string): string {
  const group = groups[kind]
  if (group === undefined) throw new Error(`"${kind}" is not among ${Object.keys(groups).join(', ')}: add it in driver/kinds.ts`)
  return `${group}/namespaces/${namespace}/${kind}`
}
