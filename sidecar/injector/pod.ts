import { sidecarName, statusAnnotation } from './names.ts'
import { listOf, nameOf, rawOf, textOf, type Raw } from './raw.ts'

export const annotationsOf = (pod: Raw): Raw => rawOf(rawOf(pod['metadata'])['annotations'])
export const labelsOf = (pod: Raw): Raw => rawOf(rawOf(pod['metadata'])['labels'])
export const specOf = (pod: Raw): Raw => rawOf(pod['spec'])

export const withSpec = (pod: Raw, spec: Raw): Raw => ({ ...pod, spec: { ...specOf(pod), ...spec } })

/** All that run before or with the app, ours not among them. */
export function othersOf(spec: Raw): readonly Raw[] {
  return [...listOf(spec['containers']), ...listOf(spec['initContainers'])].filter((one) => nameOf(one) !== sidecarName)
}

/** What an earlier injection wrote down about itself. */
export interface Status {
  readonly port: number
  readonly admin: number
}

/** Undefined for a pod that has not been injected. */
export function statusOf(pod: Raw): Status | undefined {
  const text = textOf(annotationsOf(pod)[statusAnnotation])
  if (text === undefined) return undefined
  try {
    const { port, admin } = rawOf(JSON.parse(text))
    return { port: Number(port), admin: Number(admin) }
  } catch {
    // Whatever it says, it is to be written anew.
    return { port: Number.NaN, admin: Number.NaN }
  }
}

export function hasSidecar(spec: Raw): boolean {
  return [...listOf(spec['containers']), ...listOf(spec['initContainers'])].some((one) => nameOf(one) === sidecarName)
}

/** The pod's owner: who made it, or whoever else it belongs to. */
export function ownerOf(pod: Raw): Raw | undefined {
  const owners = listOf(rawOf(pod['metadata'])['ownerReferences'])
  return owners.find(({ controller }) => controller === true) ?? owners[0]
}
