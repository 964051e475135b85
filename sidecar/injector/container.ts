import {
  adminPortName,
  configFile,
  credentialsFolder,
  credentialsVolume,
  isMesh,
  profileFolder,
  profileVolume,
  sidecarName,
} from './names.ts'
import { specOf, withSpec } from './pod.ts'
import type { Plan } from './plan.ts'
import { probesFor } from './probes.ts'
import { listOf, nameOf, rawOf, type Raw } from './raw.ts'

/** Puts the sidecar where it belongs, made anew: whatever became of it since an earlier injection. */
export function container(pod: Raw, plan: Plan): Raw {
  const spec = specOf(pod)
  const [containers, initContainers] = [listOf(spec['containers']), listOf(spec['initContainers'])]
  const before = [...containers, ...initContainers].find((one) => nameOf(one) === sidecarName)
  const sidecar = sidecarOf(plan, spec, before ?? {})
  const isNative = plan.mode === 'native'
  const isListed = isNative || 'initContainers' in spec
  return withSpec(pod, {
    containers: isNative ? without(containers) : placed(without(containers), sidecar),
    ...(isListed && { initContainers: isNative ? placed(without(initContainers), sidecar) : without(initContainers) }),
  })
}

const without = (containers: readonly Raw[]): readonly Raw[] => containers.filter((one) => nameOf(one) !== sidecarName)

/** First, so that all others can call it; but behind a mesh's own, through which it calls. */
function placed(containers: readonly Raw[], sidecar: Raw): readonly Raw[] {
  return containers.toSpliced(containers.findLastIndex((one) => isMesh(nameOf(one))) + 1, 0, sidecar)
}

/**
 * With every field that the API server would fill in: a second look at a pod then finds nothing to change. Of `before` only that stays which
 * a platform adds and then insists on: resources, which a LimitRange may demand, and the user, where it is the platform's to say.
 */
function sidecarOf(plan: Plan, spec: Raw, before: Raw): Raw {
  const { settings, mode, ports, profile } = plan
  return {
    name: sidecarName,
    image: settings.image,
    imagePullPolicy: settings.imagePullPolicy,
    args: ['proxy', '--config', `${profileFolder}/${configFile}`],
    ports: [{ name: adminPortName, containerPort: ports.admin, protocol: 'TCP' }],
    ...(mode === 'native' ? { restartPolicy: 'Always' } : { lifecycle: lifecycle(plan.sleepSeconds) }),
    ...probesFor(spec, ports.admin),
    resources: merged(rawOf(before['resources']), plan.resources),
    securityContext: securityContext(settings.runAsUser ?? usualUser, rawOf(before['securityContext'])),
    terminationMessagePath: '/dev/termination-log',
    terminationMessagePolicy: 'FallbackToLogsOnError',
    volumeMounts: [
      { name: profileVolume, mountPath: profileFolder, readOnly: true },
      ...(profile.secret === undefined ? [] : [{ name: credentialsVolume, mountPath: credentialsFolder, readOnly: true }]),
    ],
  }
}

/** Not the 65532 that many images run under: in a shared process namespace the same user could read what we have open. */
const usualUser = 64_198

function lifecycle(seconds: number): Raw {
  return { preStop: { exec: { command: ['outrider', 'sleep', `${seconds}s`] } } }
}

/** All that the `restricted` Pod Security Standard asks for, said here: what the pod says holds for whoever does not. */
function securityContext(user: number | 'none', before: Raw): Raw {
  const given = ['runAsUser', 'runAsGroup', 'seLinuxOptions'].filter((key) => key in before).map((key) => [key, before[key]])
  return {
    allowPrivilegeEscalation: false,
    capabilities: { drop: ['ALL'] },
    privileged: false,
    readOnlyRootFilesystem: true,
    runAsNonRoot: true,
    ...(user === 'none' ? Object.fromEntries(given) : { runAsUser: user, runAsGroup: user }),
    seccompProfile: { type: 'RuntimeDefault' },
  }
}

function merged(there: Raw, { requests, limits }: Plan['resources']): Raw {
  const parts = { requests: { ...rawOf(there['requests']), ...requests }, limits: { ...rawOf(there['limits']), ...limits } }
  return { ...there, ...Object.fromEntries(Object.entries(parts).filter(([, part]) => Object.keys(part).length > 0)) }
}
