import { check, freeze, type Parsed } from './config.ts'
import { isSet, listed, environmentNames, type Env } from './environmentNames.ts'
import { ConfigRefused, describe, type Problem } from './refused.ts'
import { configSchema } from './schema.ts'
import { disagreements } from './agreement.ts'

const source = 'environment'
const [keyNames, urlNames] = [environmentNames[0].names, environmentNames[1].names]

const providers: Readonly<Record<string, { readonly name: string; readonly url: string }>> = {
  HOLYSHEEP_API_KEY: { name: 'holysheep', url: 'https://api.holysheep.ai/v1' },
  OPENAI_API_KEY: { name: 'openai', url: 'https://api.openai.com/v1' },
}

const longestSeconds = 576 * 3600
const levelNames: Readonly<Record<string, string>> = { warning: 'warn', critical: 'fatal' }

/** The config that the environment alone makes. Throws `ConfigRefused`, which names variables and never shows what they hold. */
export async function configFromEnvironment(env: Env): Promise<Parsed> {
  const problems: Problem[] = []
  const written = new Map<string, string>()
  const one = chooser(env, problems)

  const put = (path: string, name: string, value: unknown): unknown => {
    written.set(path, name)
    return value
  }
  const upstream = upstreamOf(env, one, problems, written)
  const [httpsProxy, httpProxy, noProxy] = [
    one(['HTTPS_PROXY', 'https_proxy']),
    one(['HTTP_PROXY', 'http_proxy']),
    one(['NO_PROXY', 'no_proxy']),
  ]
  const port = one(['PORT'])
  const admin = one(['ADMIN_PORT'])
  const level = one(['LOG_LEVEL'])
  const [defaultModel, fallbackModel, retries] = [one(['DEFAULT_MODEL']), one(['FALLBACK_MODEL']), one(['MAX_RETRIES'])]
  const value = {
    ...upstream,
    ...(port && { listen: { port: put('listen.port', port.name, portOf(port)) } }),
    ...(admin && { admin: { port: put('admin.port', admin.name, portOf(admin)) } }),
    ...(level && { log: { level: put('log.level', level.name, levelOf(level.value)) } }),
    network: {
      ...(httpsProxy && { httpsProxy: put('network.httpsProxy', httpsProxy.name, httpsProxy.value) }),
      ...(httpProxy && { httpProxy: put('network.httpProxy', httpProxy.name, httpProxy.value) }),
      ...(noProxy && { noProxy: put('network.noProxy', noProxy.name, noProxy.value.split(/[\s,]+/).filter(Boolean)) }),
    },
    timeouts: timeoutsOf(one(['REQUEST_TIMEOUT']), problems),
    routing: {
      ...(defaultModel && { defaultModel: put('routing.defaultModel', defaultModel.name, defaultModel.value) }),
      ...(fallbackModel && { fallbacks: [{ model: put('routing.fallbacks[0].model', fallbackModel.name, fallbackModel.value) }] }),
    },
    ...retryOf(retries, problems, written),
  }
  problems.push(...samePort(port, admin), ...controlPort(port), ...controlPort(admin))

  const nameOf = (path: string): string | undefined => {
    const name = written.get(path) ?? written.get(path.replace(/\[\d+\]$/, ''))
    return name !== undefined && !written.has(path) ? `${name}${path.slice(path.lastIndexOf('['))}` : name
  }
  const named = (found: Problem): Problem => ({
    path: nameOf(found.path) ?? found.path,
    message: found.message.replace(', without quotes', ''),
  })
  const document = { value, placeOf: () => undefined, originOf: () => 'what it holds' }
  const checked = await check(document, configSchema, disagreements)
  // What has no variable behind it follows from a problem that was told above.
  const told = problems.length > 0 ? checked.problems.filter(({ path }) => nameOf(path) !== undefined) : checked.problems
  if (problems.length + told.length > 0 || checked.output === undefined) throw new ConfigRefused(source, [...problems, ...told.map(named)])
  const warnings = [...checked.warnings.map(named), ...keyless(upstream)]
  return { config: freeze(checked.output), warnings: warnings.map((warning) => describe(source, warning)) }
}

interface Chosen {
  readonly name: string
  readonly value: string
  readonly names: readonly string[]
}
type Choose = (names: readonly string[], same?: (value: string) => string) => Chosen | undefined

/** The one value of several names for it; a contradiction becomes a problem. */
function chooser(env: Env, problems: Problem[]): Choose {
  return (names, same = (value) => value) => {
    const set = names.flatMap((name) => {
      const value = env[name]
      return isSet(value) ? [{ name, value: value.trim() }] : []
    })
    const [first] = set
    if (first === undefined) return undefined
    const all = set.map(({ name }) => name)
    if (new Set(set.map(({ value }) => same(value))).size > 1) {
      problems.push({ path: listed(all), message: 'contradict each other: keep one of them, or give them the same value' })
    }
    return { ...first, names: all }
  }
}

function upstreamOf(env: Env, one: Choose, problems: Problem[], written: Map<string, string>): object {
  const key = one(keyNames)
  const url = one(urlNames, (text) => text.replace(/\/+$/, ''))
  const credential = key === undefined ? {} : { credentials: { key: { env: key.name } } }
  const entry = (name: string, where: string): object => ({
    upstreams: [{ name, url: where, ...(key && { credential: 'key' }) }],
    ...credential,
  })
  if (url !== undefined) {
    written.set('upstreams[0].url', url.name)
    return entry(nameOfHost(url.value), url.value)
  }
  if (key === undefined) {
    problems.push({ path: '', message: missing(env) })
    return {}
  }
  const named = key.names.filter((name) => Object.hasOwn(providers, name))
  const provider = providers[named[0] ?? '']
  if (named.length > 1) problems.push({ path: listed(named), message: 'name two providers: set BASE_URL to the one that is meant' })
  if (provider !== undefined) return entry(provider.name, provider.url)
  problems.push({
    path: key.name,
    message: 'does not say where calls go: set BASE_URL as well, or call the key HOLYSHEEP_API_KEY or OPENAI_API_KEY',
  })
  return {}
}

function missing(env: Env): string {
  const empty = [...keyNames, ...urlNames].filter((name) => env[name] !== undefined)
  const there = empty.length === 0 ? '' : ` (${listed(empty)} ${empty.length > 1 ? 'are' : 'is'} there, but empty)`
  return `has neither a key nor a URL${there}: set HOLYSHEEP_API_KEY or OPENAI_API_KEY, or API_KEY and BASE_URL, or write a file and name it with --config FILE`
}

/** What metrics and logs call the upstream. */
function nameOfHost(url: string): string {
  const host = URL.parse(url)?.hostname ?? ''
  return Object.values(providers).find((provider) => URL.parse(provider.url)?.hostname === host)?.name ?? 'upstream'
}

/** Never the total of a stream: an answer may be written for longer than a person waits for its beginning. */
function timeoutsOf(timeout: Chosen | undefined, problems: Problem[]): object {
  if (timeout === undefined) return {}
  const milliseconds = /^\d{1,9}(?:\.\d{1,3})?$/.test(timeout.value) ? Math.round(Number(timeout.value) * 1000) : 0
  if (milliseconds < 1 || milliseconds > longestSeconds * 1000) {
    problems.push({ path: timeout.name, message: `must be seconds, a number such as 60 or 2.5, more than 0 and at most ${longestSeconds}` })
    return {}
  }
  const wait = `${milliseconds}ms`
  return { total: wait, firstEvent: wait, idle: wait }
}

/** Repeats come on top of the first attempt. */
function retryOf(retries: Chosen | undefined, problems: Problem[], written: Map<string, string>): object {
  if (retries === undefined) return {}
  written.set('retry.attempts', retries.name)
  if (/^\d$/.test(retries.value)) return { retry: { attempts: 1 + Number(retries.value) } }
  problems.push({ path: retries.name, message: 'must be a whole number from 0 to 9' })
  return {}
}

/** What is no port is left as it is, for the schema to refuse. */
function portOf({ value }: Chosen): unknown {
  return /^\d{1,9}$/.test(value) ? Number(value) : value
}

/** Where both are set, that they are the same is found with the rest. */
function samePort(port: Chosen | undefined, admin: Chosen | undefined): Problem[] {
  if (port === undefined || admin !== undefined || Number(port.value) !== 9090) return []
  return [{ path: port.name, message: 'is 9090, the port of probes and metrics: choose another, or another ADMIN_PORT for them' }]
}

/** Which has no variable of its own. */
function controlPort(port: Chosen | undefined): Problem[] {
  if (port === undefined || Number(port.value) !== 9091) return []
  return [{ path: port.name, message: 'is 9091, the port of the status: choose another, or move that with control.port in a config file' }]
}

function levelOf(text: string): string {
  const level = text.toLowerCase()
  return levelNames[level] ?? level
}

function keyless(upstream: object): Problem[] {
  return 'credentials' in upstream ? [] : [{ path: '', message: 'has a URL but no key: calls go out without one' }]
}
