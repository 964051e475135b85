import { isTold, ownAddress } from './environment.ts'
import { domain } from './names.ts'
import { specOf } from './pod.ts'
import type { Plan } from './plan.ts'
import { listOf, nameOf, rawOf, textOf, type Raw } from './raw.ts'
import { placeholder, variablesFor, type Variable } from './variables.ts'

/** What a person should know about a pod that is injected all the same. No value of a variable is ever in it. */
export function warningsOf(pod: Raw, plan: Plan): readonly string[] {
  const spec = specOf(pod)
  const variables = variablesFor(plan)
  const all = [...listOf(spec['containers']), ...listOf(spec['initContainers'])].filter((one) => isTold(one, plan))
  return [
    ...moved(plan),
    ...all.flatMap((one) => [
      ...ownAddresses(one, variables, plan),
      ...realKeys(one, variables),
      ...unseen(one, variables),
      ...fixedNoProxy(one),
    ]),
    ...sharedProcesses(spec),
    ...endlessJob(plan),
  ]
}

/** Those who have written the usual port into their code would meet the app that has it. */
function moved({ profile, ports, taken, before }: Plan): readonly string[] {
  const { port } = profile.config.listen
  const by = taken.get(port)
  if (ports.data === port || by === undefined || before?.port === ports.data) return []
  return [`port ${port} is taken by ${by}: calls go to http://localhost:${ports.data}/v1, which the variables say`]
}

function ownAddresses(container: Raw, variables: readonly Variable[], plan: Plan): readonly string[] {
  const env = listOf(container['env'])
  return variables.flatMap((variable) => {
    const own = ownAddress(env, variable, plan)
    if (own === undefined) return []
    const who = `container "${nameOf(container)}" sets ${variable.name} itself`
    const port = /^https?:\/\/(?:localhost|127\.0\.0\.1|\[::1\])(?::(\d+))?(?:\/|$)/.exec(textOf(own['value']) ?? '')?.[1]
    if (port === undefined) return [`${who}: those calls do not go through Outrider`]
    if (Number(port) !== plan.ports.data) return [`${who}, with port ${port} of the pod: Outrider is on port ${plan.ports.data} there`]
    return []
  })
}

const keyLike = /^(?:(?:sk|rk|gsk|xai|hf|r8|pplx|csk|fw|nvapi|tgp|ghp)[-_]|AIza)[-_.A-Za-z0-9]{16,}$/

function realKeys(container: Raw, variables: readonly Variable[]): readonly string[] {
  const ours = variables.filter(({ isKey }) => isKey).map(({ name }) => name)
  const names = listOf(container['env']).flatMap((entry) => {
    const value = textOf(entry['value'])
    const holds = value === undefined ? 'secretKeyRef' in rawOf(entry['valueFrom']) : value !== placeholder && value.length >= 16
    return (ours.includes(nameOf(entry)) && holds) || (value !== undefined && keyLike.test(value)) ? [nameOf(entry)] : []
  })
  if (names.length === 0) return []
  return [
    `container "${nameOf(container)}" still has what looks like a real key in ${[...new Set(names)].join(', ')}: the sidecar brings the key, take it out`,
  ]
}

/** What stands in a ConfigMap or a Secret is not read; `env` wins over it, so ours would. */
function unseen(container: Raw, variables: readonly Variable[]): readonly string[] {
  const set = listOf(container['env']).map(nameOf)
  return listOf(container['envFrom']).flatMap((source) => {
    const prefix = textOf(source['prefix']) ?? ''
    const open = variables.filter(({ name, isKey }) => !isKey && name.startsWith(prefix) && !set.includes(name)).map(({ name }) => name)
    if (open.length === 0) return []
    const [kind, from] = 'secretRef' in source ? ['Secret', source['secretRef']] : ['ConfigMap', source['configMapRef']]
    const what = `${open.slice(0, 3).join(', ')}${open.length > 3 ? ', …' : ''}`
    return [
      `container "${nameOf(container)}" takes variables from ${kind} ${nameOf(rawOf(from))}: should ${what} be among them, ours win; ` +
        `${domain}env says which are set`,
    ]
  })
}

function fixedNoProxy(container: Raw): readonly string[] {
  const env = listOf(container['env'])
  if (!env.some((entry) => /^(?:https?|all)_proxy$/i.test(nameOf(entry)))) return []
  return env
    .filter((entry) => /^no_proxy$/i.test(nameOf(entry)) && 'valueFrom' in entry)
    .map(
      (entry) =>
        `container "${nameOf(container)}" has ${nameOf(entry)} from elsewhere: it must name localhost, or calls go to the proxy instead`,
    )
}

function sharedProcesses(spec: Raw): readonly string[] {
  const shared = ['shareProcessNamespace', 'hostPID'].find((key) => spec[key] === true)
  if (shared === undefined) return []
  return [`${shared} lets containers that run as root, or as the user of the sidecar, read its files, the key among them`]
}

function endlessJob({ mode, isJob, endsAfter, ports }: Plan): readonly string[] {
  if (mode !== 'legacy' || !isJob || endsAfter > 0) return []
  return [`in mode legacy a Job ends only when its app says so at its end: POST http://localhost:${ports.control}/control/quit`]
}
