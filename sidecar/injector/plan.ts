import { nearest } from '../config/nearest.ts'
import { formatDuration } from '../config/units.ts'
import { tuningOf, type Tuning } from './annotations.ts'
import { Denial } from './denial.ts'
import { credentialsVolume, domain, isForeign, profileVolume, sidecarName, statusAnnotation } from './names.ts'
import { annotationsOf, othersOf, ownerOf, specOf, statusOf, type Status } from './pod.ts'
import { choosePorts, takenPorts, type Ports, type Taken } from './ports.ts'
import type { Profile } from './profile.ts'
import { listOf, nameOf, rawOf, textOf, type Raw } from './raw.ts'
import { resourcesFor, type Resources } from './resources.ts'
import type { InjectorSettings } from './settings.ts'
import { templatesOf } from './templates.ts'

export type Mode = 'native' | 'legacy'

/** All that is decided about one pod; what follows only carries it out. */
export interface Plan {
  readonly settings: InjectorSettings
  readonly profile: Profile
  readonly tuning: Tuning
  readonly mode: Mode
  readonly ports: Ports
  readonly taken: Taken
  /** Of the injection before, where this is a second one. */
  readonly before: Status | undefined
  readonly resources: Resources
  readonly drainMs: number
  /** Legacy: how long to go on before the order to stop is passed on, since the app has been told at the same moment. */
  readonly sleepSeconds: number
  readonly isJob: boolean
  /** How many containers the sidecar sees end and ends after; 0 where it has to be told. */
  readonly endsAfter: number
}

/** Not an answer: whoever asks again may get one. */
export class NotYet extends Error {
  override readonly name = 'NotYet'
}

/** Throws a `Denial` for what the pod must not be given, `NotYet` for what nobody can know. */
export function planFor(pod: Raw, settings: InjectorSettings): Plan | 'unsupported_cluster' {
  const spec = specOf(pod)
  const tuning = tuningOf(annotationsOf(pod))
  const profile = profileFor(tuning.profile, settings)
  refuseForeignMounts(pod)
  refuseUnknownContainers(tuning, spec)
  refuseUnknownVariables(tuning, profile)
  const mode = modeFor(tuning, settings)
  if (mode === undefined) return 'unsupported_cluster'
  const { listen, admin, control, upstreams } = profile.config
  const taken = new Map(takenPorts(spec))
  for (const { name, url } of upstreams) {
    const { hostname = '', port = '' } = URL.parse(url) ?? {}
    if (/^(?:localhost|127\..*|\[::1\])$/.test(hostname))
      taken.set(Number(port) || 80, `the upstream "${name}" of profile "${profile.name}"`)
  }
  const ports = choosePorts(
    { data: listen.port, admin: admin.port, control: control.port },
    {
      ...(tuning.port !== undefined && { data: tuning.port }),
      ...(tuning['admin-port'] !== undefined && { admin: tuning['admin-port'] }),
    },
    taken,
  )
  return {
    settings,
    profile,
    tuning,
    mode,
    ports,
    taken,
    before: statusOf(pod),
    resources: resourcesFor(profile, tuning, rawOf(spec['resources'])),
    ...stopping(spec, mode, profile, tuning),
    isJob: ownerOf(pod)?.['kind'] === 'Job',
    endsAfter: mode === 'legacy' ? endsAfter(spec) : 0,
  }
}

/** A container that fails and is started again has not ended, and which it is cannot be seen; a mesh's own never ends by itself. */
function endsAfter(spec: Raw): number {
  const names = listOf(spec['containers'])
    .map(nameOf)
    .filter((name) => name !== sidecarName)
  return spec['shareProcessNamespace'] === true && spec['restartPolicy'] === 'Never' && !names.some(isForeign) ? names.length : 0
}

function profileFor(asked: string | undefined, settings: InjectorSettings): Profile {
  const profiles = settings.profiles()
  const profile = profiles.get(asked ?? 'default')
  if (profile !== undefined) return profile
  const names = [...profiles.keys()].toSorted()
  const known = names.length === 0 ? 'there is none at all' : `there are ${names.join(', ')}`
  if (asked === undefined) {
    throw new Denial(`there is no profile named default (${known}): say which with the annotation ${domain}profile, or ask for one`)
  }
  const near = nearest(asked, names)
  throw new Denial(
    `annotation ${domain}profile: there is no profile "${asked}"${near === undefined ? `; ${known}` : `; did you mean ${near}?`}`,
  )
}

/** From here on the kubelet knows containers that go on running beside the app; before, the field is dropped and the pod never starts. */
const firstMinor = 29

function modeFor({ mode = 'auto' }: Tuning, { nativeSidecars, serverMinor }: InjectorSettings): Mode | undefined {
  if (mode === 'legacy') return mode
  const native = nativeSidecars()
  const minor = serverMinor?.()
  if (mode === 'native') return (minor === undefined ? native === false : minor < firstMinor) ? undefined : mode
  if (native === undefined) throw new NotYet('the version of the API server is not known yet, and with it whether native sidecars work')
  return native ? 'native' : 'legacy'
}

/** Whoever mounts our volumes would read the key, and it would look as if that were meant. */
function refuseForeignMounts(pod: Raw): void {
  const spec = specOf(pod)
  for (const container of othersOf(spec)) {
    for (const mount of listOf(container['volumeMounts'])) {
      if ([credentialsVolume, profileVolume].includes(nameOf(mount))) {
        throw new Denial(`container "${nameOf(container)}" mounts ${nameOf(mount)}, which is for the container ${sidecarName} alone`)
      }
    }
  }
  if (statusAnnotation in annotationsOf(pod)) return
  const volume = listOf(spec['volumes']).find((one) => [credentialsVolume, profileVolume].includes(nameOf(one)))
  if (volume !== undefined) throw new Denial(`volume ${nameOf(volume)}: the name is used by Outrider; choose another one`)
}

function refuseUnknownContainers(tuning: Tuning, spec: Raw): void {
  const there = othersOf(spec).map(nameOf)
  for (const key of ['containers', 'skip-containers'] as const) {
    const missing = tuning[key]?.find((name) => !there.includes(name))
    if (missing === undefined) continue
    const near = nearest(missing, there)
    const proposal = near === undefined ? `there are ${there.slice(0, 10).join(', ')}` : `did you mean ${near}?`
    throw new Denial(`annotation ${domain}${key}: there is no container "${missing}"; ${proposal}`)
  }
}

function refuseUnknownVariables({ env = [] }: Tuning, { name: profile, inject }: Profile): void {
  if (env.length === 1 && env[0] === 'none') return
  const known = Object.keys(templatesOf(inject.env))
  const missing = env.find((one) => !known.includes(one))
  if (missing === undefined) return
  const near = nearest(missing, known)
  const proposal = near === undefined ? `it has ${known.join(', ')}` : `did you mean ${near}?`
  throw new Denial(`annotation ${domain}env: profile "${profile}" has no variable ${missing}; ${proposal}`)
}

/** What Kubernetes grants a pod that says nothing. */
const usualGraceSeconds = 30
const longestSleepSeconds = 5

function stopping(spec: Raw, mode: Mode, { config, document }: Profile, tuning: Tuning): Pick<Plan, 'drainMs' | 'sleepSeconds'> {
  const written = spec['terminationGracePeriodSeconds']
  const graceSeconds = typeof written === 'number' && written >= 0 ? written : usualGraceSeconds
  const sleepSeconds = mode === 'legacy' ? Math.min(longestSleepSeconds, Math.floor(graceSeconds / 3)) : 0
  const mostMs = (graceSeconds - sleepSeconds) * 1_000
  if (tuning.drain !== undefined && tuning.drain > mostMs) {
    const why =
      sleepSeconds === 0
        ? `terminationGracePeriodSeconds is ${graceSeconds}`
        : `of terminationGracePeriodSeconds ${graceSeconds} the preStop hook takes ${sleepSeconds}`
    throw new Denial(`annotation ${domain}drain: must be at most ${formatDuration(mostMs)}, since ${why}; raise that, or drain sooner`)
  }
  const isWritten = textOf(rawOf(document['drain'])['grace']) !== undefined
  return { sleepSeconds, drainMs: tuning.drain ?? (isWritten ? Math.min(config.drain.grace, mostMs) : mostMs) }
}
