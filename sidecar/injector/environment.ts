import { isForeign, sidecarName } from './names.ts'
import { specOf, withSpec } from './pod.ts'
import type { Plan } from './plan.ts'
import { listOf, nameOf, textOf, type Raw } from './raw.ts'
import { variablesFor, type Variable } from './variables.ts'

/** Tells the containers where to call: those of the app, and of its init containers those that start when the sidecar is up. */
export function environment(pod: Raw, plan: Plan): Raw {
  const spec = specOf(pod)
  const variables = variablesFor(plan)
  const told = (container: Raw): Raw => withVariables(container, variables, plan)
  const initContainers = listOf(spec['initContainers'])
  const ours = initContainers.findIndex((one) => nameOf(one) === sidecarName)
  return withSpec(pod, {
    containers: listOf(spec['containers']).map((one) => (isTold(one, plan) ? told(one) : one)),
    ...('initContainers' in spec && {
      initContainers: initContainers.map((one, at) => (ours >= 0 && at > ours && isTold(one, plan) ? told(one) : one)),
    }),
  })
}

/** Whether a container is one of those that get variables. */
export function isTold(container: Raw, { tuning }: Plan): boolean {
  const name = nameOf(container)
  if (name === sidecarName) return false
  if (tuning.containers !== undefined) return tuning.containers.includes(name)
  return !isForeign(name) && tuning['skip-containers']?.includes(name) !== true
}

function withVariables(container: Raw, variables: readonly Variable[], plan: Plan): Raw {
  const before = listOf(container['env'])
  const lost = new Set(variables.filter((one) => ownAddress(before, one, plan)).map(({ family }) => family))
  const env = withNoProxy(variables.filter(({ family }) => !lost.has(family)).reduce(withVariable, before))
  return env === before ? container : { ...container, env }
}

/** Only where it is absent. One that stands there and points to us does so to the right port: it may have been another one before. */
function withVariable(env: readonly Raw[], { name, value, isKey }: Variable): readonly Raw[] {
  const at = env.findLastIndex((entry) => nameOf(entry) === name)
  const entry = env[at]
  if (entry === undefined) return [...env, { name, value }]
  return isKey || entry['value'] === value ? env : env.with(at, { ...entry, value })
}

/** An address that the app has set itself, and that is not ours. */
export function ownAddress(env: readonly Raw[], { name, value, at, isKey }: Variable, { before }: Plan): Raw | undefined {
  if (isKey) return undefined
  const entry = env.findLast((one) => nameOf(one) === name)
  if (entry === undefined || entry['value'] === value) return undefined
  return before !== undefined && entry['value'] === at(before.port) ? undefined : entry
}

const proxies = /^(?:https?|all)_proxy$/i
const local = ['localhost', '127.0.0.1', '::1']

/** A proxy of the app would be asked for `localhost` too, and means another one by it. */
function withNoProxy(env: readonly Raw[]): readonly Raw[] {
  const set = env.filter((entry) => proxies.test(nameOf(entry)))
  if (set.length === 0) return env
  const there = ['NO_PROXY', 'no_proxy'].filter((name) => env.some((entry) => nameOf(entry) === name))
  // Some programs know one spelling, some the other: without any, as the proxies are spelled.
  const spellings = new Set(set.map((entry) => (nameOf(entry) === nameOf(entry).toLowerCase() ? 'no_proxy' : 'NO_PROXY')))
  return (there.length > 0 ? there : [...spellings]).reduce(withLocal, env)
}

function withLocal(env: readonly Raw[], name: string): readonly Raw[] {
  const at = env.findLastIndex((entry) => nameOf(entry) === name)
  const entry = env[at]
  if (entry === undefined) return [...env, { name, value: local.join(',') }]
  // From somewhere else: nothing can be added to it.
  if ('valueFrom' in entry) return env
  const value = textOf(entry['value']) ?? ''
  const hosts = value.split(',').map((host) => host.trim())
  const missing = local.filter((host) => !hosts.includes(host))
  if (missing.length === 0 || hosts.includes('*')) return env
  return env.with(at, { ...entry, value: [...(value.trim() === '' ? [] : [value]), ...missing].join(',') })
}
