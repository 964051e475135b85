import { configAnnotation, configFile, credentialsVolume, profileVolume } from './names.ts'
import { specOf, withSpec } from './pod.ts'
import type { Plan } from './plan.ts'
import { listOf, withPart, type Raw } from './raw.ts'

/** The files of the sidecar. None is an emptyDir: a pod with one holds its node back from being scaled down. */
export function volumes(pod: Raw, { profile }: Plan): Raw {
  const before = listOf(specOf(pod)['volumes'])
  const withProfile = withPart(before, {
    name: profileVolume,
    downwardAPI: {
      defaultMode: readable,
      items: [{ path: configFile, fieldRef: { apiVersion: 'v1', fieldPath: `metadata.annotations['${configAnnotation}']` } }],
    },
  })
  // Not optional: of a Secret that is missing, the kubelet itself says so in an Event, and until it is there.
  const withSecret = (secretName: string) =>
    withPart(withProfile, { name: credentialsVolume, secret: { secretName, defaultMode: readable } })
  return withSpec(pod, { volumes: profile.secret === undefined ? withProfile : withSecret(profile.secret) })
}

/** 0444: without an fsGroup the files are root's, and the sidecar is not root. Nobody else has them mounted. */
const readable = 0o444
