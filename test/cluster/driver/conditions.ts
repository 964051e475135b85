import type { Resource } from './api.ts'

type Status = { readonly conditions?: readonly { readonly type: string; readonly status: string }[] } | undefined

export function condition(status: Status, type: string): boolean {
  return status?.conditions?.some((one) => one.type === type && one.status === 'True') ?? false
}

export function isReady({ status, metadata }: Resource): boolean {
  return metadata['deletionTimestamp'] === undefined && condition(status, 'Ready')
}

/** Every replica of the newest kind is there, and none of an older one. */
export function isAvailable({ metadata, spec, status }: Resource): boolean {
  const { observedGeneration, replicas, updatedReplicas, availableReplicas } = status ?? {}
  const counts = [replicas, updatedReplicas, availableReplicas]
  return observedGeneration === metadata['generation'] && counts.every((count) => count === spec.replicas)
}
