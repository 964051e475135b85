import { hash } from 'node:crypto'
import * as v from 'valibot'
import { disagreements, isLoopback, type Finding } from '../config/agreement.ts'
import { check, freeze, type Config, type Frozen } from '../config/config.ts'
import { readDocument } from '../config/document.ts'
import { flag, name as nameKind } from '../config/kinds.ts'
import { isMapping, mapping, named } from '../config/mapping.ts'
import { ConfigRefused, describe } from '../config/refused.ts'
import { configSchema } from '../config/schema.ts'
import { optional, required, setting } from '../config/setting.ts'
import { credentialsFolder } from './names.ts'
import { amountOf, cpu, memory } from './quantity.ts'
import { listOf, rawOf, textOf, type Raw } from './raw.ts'

/** What pods of one kind get: a config for their sidecars, and how these stand in the pod. Checked, frozen, ready to inject. */
export interface Profile {
  readonly name: string
  readonly config: Config
  /** The same as a document for `outrider proxy --config`, with the files of the credentials filled in. */
  readonly document: Raw
  /** Changes with anything that a pod would get. */
  readonly hash: string
  /** The Secret of the pod's own namespace; undefined where no upstream wants a key. */
  readonly secret: string | undefined
  readonly inject: ProfileInjection
}

export type ProfileInjection = Frozen<v.InferOutput<typeof inject>>

const aSecretKey = 'must be a key of a Secret: letters, digits, -, _ and ., at most 253'
const secretKey = v.pipe(v.string(aSecretKey), v.regex(/^(?!\.\.)[-._a-zA-Z0-9]{1,253}$/, aSecretKey))

const anObjectName = 'must be the name of a Secret: letters a-z, digits, - and ., at most 253'
const objectName = v.pipe(v.string(anObjectName), v.regex(/^(?=.{1,253}$)[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?$/, anObjectName))

const aVariable = 'must be the name of an environment variable'
const variable = v.pipe(v.string(aVariable), v.regex(/^[A-Za-z_]\w*$/, aVariable))

const aTemplate = 'must be a text in which {url}, {origin} and {key} are filled in, and no other {…}'
const template = v.pipe(
  v.string(aTemplate),
  v.check((text) => !/\{(?!(?:url|origin|key)\})/.test(text), aTemplate),
)

const secret = mapping({
  name: setting(objectName, {
    default: 'outrider-credentials',
    help: "The Secret of the pod's own namespace that holds the keys; mounted into the sidecar alone.",
    reason: 'One name for all namespaces, so that one ExternalSecret serves them all.',
  }),
  keys: setting(named(nameKind, secretKey), {
    default: {},
    help: 'Under which key of the Secret each credential stands.',
    reason: 'A credential that is not listed stands under its own name.',
  }),
})

const inject = mapping({
  env: setting(named(variable, template), {
    default: {},
    help: 'More variables for the app: {url} is where to call, with /v1; {origin} the same without; {key} a placeholder for a key.',
    reason: 'The common clients know the names that are always set.',
  }),
  scrape: setting(flag, {
    default: false,
    help: 'Set the annotations prometheus.io/scrape, port and path where the pod has none.',
    reason: 'Whoever has a PodMonitor would count everything twice.',
  }),
  cpuRequest: setting(cpu, {
    default: '10m',
    help: 'CPU that is set aside for a sidecar.',
    reason: 'Little, but there: without any, an autoscaler by CPU cannot compute for the pod.',
  }),
  cpuLimit: optional(cpu, {
    help: 'Most CPU; a ResourceQuota on limits.cpu demands one, and pods are refused with "must specify limits.cpu for: outrider" until there is one.',
  }),
  memoryRequest: setting(memory, {
    default: '72Mi',
    help: 'Memory that is set aside for a sidecar.',
    reason: 'What an idle one holds.',
  }),
  memoryLimit: setting(memory, {
    default: '160Mi',
    help: 'Most memory.',
    reason: 'Twice what an idle one holds; request bodies get 40% of it.',
  }),
  imagePullSecrets: setting(v.array(objectName, 'must be a list of names'), {
    default: [],
    help: "Secrets of the pod's namespace with which the image of the sidecar is pulled.",
    reason: 'Most clusters pull it without.',
  }),
})

/** What a profile can say. */
export const profileSchema = mapping({
  config: required(configSchema, { help: 'What `outrider proxy` takes, without credentials.' }),
  secret: v.optional(required(secret, { help: 'Where the keys are.' }), {}),
  inject: v.optional(required(inject, { help: 'How the sidecar stands in the pod.' }), {}),
})

export interface ParsedProfile {
  readonly profile: Profile
  readonly warnings: readonly string[]
}

// An object of Kubernetes holds 256 KiB of annotations, those of everybody else among them.
const longestConfig = 128 * 1024

/** Checks a profile, YAML or JSON. Throws `ConfigRefused` with everything that is wrong, and nothing else; `source` is what messages call it. */
export async function parseProfile(name: string, text: string, source: string): Promise<ParsedProfile> {
  const document = await readDocument(text, source)
  const { output, problems, warnings } = await check(document, profileSchema, agree)
  if (output === undefined) throw new ConfigRefused(source, problems)
  const written = documentOf(rawOf(document.value))
  const config = v.parse(configSchema, written)
  const size = Buffer.byteLength(JSON.stringify(written))
  if (size > longestConfig) {
    const message = `is ${size} bytes long; it is carried in an annotation of each pod, which holds ${longestConfig}`
    throw new ConfigRefused(source, [{ path: 'config', message }])
  }
  const namesFile = [...filesOf(written)].some(([, file]) => file !== undefined)
  const needsSecret = namesFile || Object.keys(config.credentials).length > 0 || 'secret' in rawOf(document.value)
  const profile: Profile = {
    name,
    config: freeze(config),
    document: freeze(rawOf(spared(written))),
    hash: hash('sha256', JSON.stringify([written, output.secret, output.inject])).slice(0, 16),
    secret: needsSecret ? output.secret.name : undefined,
    inject: freeze(fitting(output.inject, rawOf(rawOf(document.value)['inject']))),
  }
  return { profile, warnings: warnings.map((warning) => describe(source, warning)) }
}

/** Of a request above its limit the one that nobody wrote gives way: whoever raises one of them need not know the other. */
function fitting(inject: ProfileInjection, written: Raw): ProfileInjection {
  const { memoryRequest, memoryLimit } = inject
  if (amountOf(memoryRequest) <= amountOf(memoryLimit)) return inject
  return 'memoryLimit' in written ? { ...inject, memoryRequest: memoryLimit } : { ...inject, memoryLimit: memoryRequest }
}

/** The config with its credentials: each a file of the mounted Secret. */
function documentOf(profile: Raw): Raw {
  const config = rawOf(profile['config'])
  const keys = rawOf(rawOf(profile['secret'])['keys'])
  const wanted = listOf(config['upstreams']).flatMap(({ credential }) => textOf(credential) ?? [])
  const credentials = Object.fromEntries(
    [...new Set(wanted)].map((credential) => [credential, { file: `${credentialsFolder}/${textOf(keys[credential]) ?? credential}` }]),
  )
  return { ...config, credentials }
}

/** `${` stands for itself in a profile; the sidecar reads a file, in which it would stand for a variable. */
function spared(value: unknown): unknown {
  if (typeof value === 'string') return value.replaceAll('${', '$$${')
  if (Array.isArray(value)) return value.map(spared)
  return isMapping(value) ? Object.fromEntries(Object.entries(value).map(([key, item]) => [key, spared(item)])) : value
}

/** What no single setting shows, and what makes sense for a proxy but not for one that is injected. */
function agree(document: unknown): { problems: Finding[]; warnings: Finding[] } {
  const profile = rawOf(document)
  const config = rawOf(profile['config'])
  const { problems, warnings } = disagreements(documentOf(profile))
  const within = ({ path, ...rest }: Finding): Finding => ({ ...rest, path: ['config', ...path] })
  return {
    problems: [...problems.map(within), ...misplaced(config), ...unusedKeys(profile), ...tooMuch(rawOf(profile['inject']))],
    warnings: warnings.filter(({ path }) => path[0] !== 'credentials').map(within),
  }
}

function misplaced(config: Raw): Finding[] {
  const [listen, admin, control] = [rawOf(config['listen']), rawOf(config['admin']), rawOf(config['control'])]
  const found: Finding[] = []
  const say = (path: readonly (string | number)[], message: string): void => {
    found.push({ path: ['config', ...path], message })
  }
  if ('credentials' in config) say(['credentials'], 'is made from secret.keys: leave it out, and no key can stand where pods show it')
  if (typeof listen['host'] === 'string' && !isLoopback(listen['host'])) {
    say(['listen', 'host'], 'is not the loopback: an injected sidecar serves its own pod only')
  }
  if ('tls' in listen) say(['listen', 'tls'], 'has no place here: the app calls http://localhost')
  for (const one of ['clients', 'clientsFile']) {
    if (one in config) say([one], 'has no place here: the only client of an injected sidecar is its own pod')
  }
  if (typeof admin['host'] === 'string' && isLoopback(admin['host'])) {
    say(['admin', 'host'], 'is the loopback: the kubelet, which probes it, comes from outside of the pod')
  }
  if ('stateFile' in control) say(['control', 'stateFile'], 'has no place here: a pod has no file that outlives it; change the profile')
  if ('quit' in control) say(['control', 'quit'], 'is for the injector to say: true in mode legacy, and never else')
  if ('afterContainers' in rawOf(config['drain'])) {
    say(['drain', 'afterContainers'], 'is for the injector to say: in mode legacy, where the pod shares its processes, and never else')
  }
  for (const [path, file] of filesOf(config)) {
    if (typeof file !== 'string' || file.startsWith(`${credentialsFolder}/`)) continue
    say(path, `is no file that a sidecar has: put it into the Secret, as ${credentialsFolder}/NAME, and name the Secret in secret.name`)
  }
  for (const [at, listener] of Object.entries({ listen, admin, control })) {
    const { port } = listener
    if (port === 0) say([at, 'port'], 'must be a fixed one: others are told where it is')
    else if (typeof port === 'number' && port < 1024)
      say([at, 'port'], 'must be 1024 or more: below, a right is needed that the sidecar has not')
  }
  return found
}

/** Whatever names a file; those that are refused as a whole are left out. */
function* filesOf(config: Raw): Generator<readonly [path: readonly (string | number)[], file: unknown]> {
  yield [['network', 'ca'], rawOf(config['network'])['ca']]
  yield [['control', 'tokenFile'], rawOf(config['control'])['tokenFile']]
  for (const [index, upstream] of listOf(config['upstreams']).entries()) {
    for (const name of ['ca', 'cert', 'key']) yield [['upstreams', index, 'tls', name], rawOf(upstream['tls'])[name]]
  }
}

function unusedKeys(profile: Raw): Finding[] {
  const known = listOf(rawOf(profile['config'])['upstreams']).flatMap(({ credential }) => textOf(credential) ?? [])
  return Object.keys(rawOf(rawOf(profile['secret'])['keys']))
    .filter((credential) => !known.includes(credential))
    .map((credential) => ({
      path: ['secret', 'keys', credential],
      message: 'must be a credential of an upstream',
      wanted: credential,
      known,
    }))
}

function tooMuch(inject: Raw): Finding[] {
  return (['cpu', 'memory'] as const).flatMap((name) => {
    const [request, limit] = [inject[`${name}Request`], inject[`${name}Limit`]].map(String)
    if (!(amountOf(request ?? '') > amountOf(limit ?? ''))) return []
    return [{ path: ['inject', `${name}Request`], message: `is more than ${name}Limit` }]
  })
}
