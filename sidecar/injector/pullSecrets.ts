import { specOf, withSpec } from './pod.ts'
import type { Plan } from './plan.ts'
import { listOf, withPart, type Raw } from './raw.ts'

/** Beside those of the pod: the image of the sidecar may lie elsewhere than the app's. */
export function pullSecrets(pod: Raw, { settings, profile }: Plan): Raw {
  const names = [...(settings.imagePullSecrets ?? []), ...profile.inject.imagePullSecrets]
  if (names.length === 0) return pod
  return withSpec(pod, {
    imagePullSecrets: names.reduce<readonly Raw[]>((all, name) => withPart(all, { name }), listOf(specOf(pod)['imagePullSecrets'])),
  })
}
