import { isIPv4 } from 'node:net'
import { boundCautions, boundDisagreements } from './boundAgreement.ts'
import { canaryCautions, canaryDisagreements } from './canaryAgreement.ts'
import type { Path } from './document.ts'
import { fallbackCautions } from './fallbackAgreement.ts'
import { isMapping } from './mapping.ts'
import { idleCautions } from './idleAgreement.ts'
import { modelCautions } from './modelAgreement.ts'

/** Something that no single setting shows. */
export interface Finding {
  readonly path: Path
  readonly message: string
  /** The name that was asked for, and those that exist: for a proposal. */
  readonly wanted?: string
  readonly known?: readonly string[]
}

/**
 * What settings say about each other. Reads the document as it was written, not as it was checked, so that these findings
 * come together with all others even if half of the document is wrong.
 */
export function disagreements(document: unknown): { problems: Finding[]; warnings: Finding[] } {
  const root = isMapping(document) ? document : {}
  const found = {
    problems: [
      ...openRelay(root),
      ...samePort(root),
      ...controlPort(root),
      ...everyone(root),
      ...sameNames(root, 'clients'),
      ...sameNames(root, 'models'),
      ...sameNames(root, 'upstreams'),
      ...sameNames(root, 'routes'),
      ...unknownUpstreams(root),
      ...canaryDisagreements(root),
      ...boundDisagreements(root),
    ],
    warnings: [
      ...trials(root),
      ...canaryCautions(root),
      ...modelCautions(root),
      ...fallbackCautions(root),
      ...noAttemptLeft(root),
      ...boundCautions(root),
      ...idleCautions(root),
    ],
  }
  for (const [index, upstream] of items(root['upstreams']).entries()) {
    const path = ['upstreams', index]
    found.problems.push(
      ...halfCertificate(upstream, path),
      ...undeclared(upstream, root, path),
      ...pathlessCheck(upstream, path),
      ...circle(upstream, root, path),
    )
    found.warnings.push(...inTheClear(upstream, path))
  }
  found.warnings.push(...unused(root))
  return found
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'))
}

function openRelay(root: Fields): Finding[] {
  const host = fields(root['listen'])['host'] ?? 'localhost'
  if (typeof host !== 'string' || isLoopback(host) || 'clients' in root || 'clientsFile' in root) return []
  const message =
    'is not the loopback, and there are neither clients nor clientsFile: a port that adds a key, without authentication, is an open relay for the key'
  return [{ path: ['listen', 'host'], message }]
}

function samePort(root: Fields): Finding[] {
  const data = fields(root['listen'])['port'] ?? 8080
  const admin = fields(root['admin'])['port'] ?? 9090
  if (data !== admin || data === 0) return []
  const hosts = [fields(root['listen'])['host'] ?? 'localhost', fields(root['admin'])['host'] ?? '::']
  if (hosts[0] !== hosts[1] && !hosts.includes('::') && !hosts.includes('0.0.0.0')) return []
  return [{ path: ['admin', 'port'], message: inUse(admin, 'listen') }]
}

function controlPort(root: Fields): Finding[] {
  const { off, port = 9091 } = fields(root['control'])
  if (off === true || port === 0) return []
  const others = [
    ['listen', fields(root['listen'])['port'] ?? 8080],
    ['admin', fields(root['admin'])['port'] ?? 9090],
  ] as const
  return others.flatMap(([name, taken]) => (taken === port ? [{ path: ['control', 'port'], message: inUse(port, name) }] : []))
}

const inUse = (port: unknown, name: string): string => `is ${String(port)}, the port of ${name} too: choose another for one of them`

function everyone(root: Fields): Finding[] {
  const { origins, credentials } = fields(root['cors'])
  if (credentials !== true || !Array.isArray(origins) || !origins.includes('*')) return []
  return [{ path: ['cors', 'credentials'], message: 'cannot go with the origin *: browsers refuse that' }]
}

function sameNames(root: Fields, list: 'clients' | 'models' | 'upstreams' | 'routes'): Finding[] {
  const names = items(root[list]).map(({ name }) => name)
  return names.flatMap((name, index) =>
    typeof name === 'string' && names.indexOf(name) < index
      ? [{ path: [list, index, 'name'], message: `is the name of another ${list.slice(0, -1)} too` }]
      : [],
  )
}

/** What an app is told to call, such as OPENAI_BASE_URL, is easily given to the sidecar as well. */
function circle({ url }: Fields, root: Fields, path: Path): Finding[] {
  const { hostname = '', port = '', protocol } = (typeof url === 'string' ? URL.parse(url) : undefined) ?? {}
  const called = port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port)
  if (called !== (fields(root['listen'])['port'] ?? 8080) || !isLoopback(hostname.replace(/^\[|\]$/g, ''))) return []
  return [{ path: [...path, 'url'], message: 'is where Outrider itself listens: calls would go round in a circle' }]
}

function halfCertificate(upstream: Fields, path: Path): Finding[] {
  const tls = fields(upstream['tls'])
  if ('cert' in tls === 'key' in tls) return []
  const [there, missing] = 'cert' in tls ? ['cert', 'key'] : ['key', 'cert']
  return [{ path: [...path, 'tls', there], message: `needs ${missing} beside it` }]
}

function undeclared(upstream: Fields, root: Fields, path: Path): Finding[] {
  const known = Object.keys(fields(root['credentials']))
  const { credential, credentials } = upstream
  const both: Finding[] =
    credential !== undefined && credentials !== undefined
      ? [{ path: [...path, 'credentials'], message: 'stands beside credential: keep one of them' }]
      : []
  const named: [Path, unknown][] = [
    [[...path, 'credential'], credential],
    ...(Array.isArray(credentials) ? credentials : []).map((wanted, at): [Path, unknown] => [[...path, 'credentials', at], wanted]),
  ]
  return [
    ...both,
    ...named.flatMap(([at, wanted]) =>
      typeof wanted !== 'string' || known.includes(wanted)
        ? []
        : [{ path: at, message: 'must be a name declared in credentials', wanted, known }],
    ),
  ]
}

/** Routes and overrides speak of upstreams by their names. */
function unknownUpstreams(root: Fields): Finding[] {
  const known = items(root['upstreams']).flatMap(({ name }) => (typeof name === 'string' ? [name] : []))
  const lists: [Path, unknown][] = [
    [['routing', 'overrides', 'upstreams'], fields(fields(root['routing'])['overrides'])['upstreams']],
    ...items(root['routes']).map(({ upstreams }, at): [Path, unknown] => [['routes', at, 'upstreams'], upstreams]),
  ]
  return lists.flatMap(([path, list]) =>
    (Array.isArray(list) ? list : []).flatMap((wanted, at) =>
      typeof wanted !== 'string' || known.includes(wanted)
        ? []
        : [{ path: [...path, at], message: 'must be the name of an upstream', wanted, known }],
    ),
  )
}

function pathlessCheck({ check }: Fields, path: Path): Finding[] {
  const { by, path: asked } = fields(check)
  if ((by === 'path') === (asked !== undefined)) return []
  return by === 'path'
    ? [{ path: [...path, 'check', 'by'], message: 'is path: needs path beside it' }]
    : [{ path: [...path, 'check', 'path'], message: 'is used only where by is path' }]
}

function inTheClear(upstream: Fields, path: Path): Finding[] {
  const { url, credential, credentials } = upstream
  if (typeof url !== 'string' || (credential ?? credentials) === undefined) return []
  const { protocol, hostname } = URL.parse(url) ?? {}
  if (protocol !== 'http:' || hostname === undefined || isLoopback(hostname.replace(/^\[|\]$/g, ''))) return []
  return [{ path: [...path, 'url'], message: 'is http: the key travels unencrypted' }]
}

function noAttemptLeft(root: Fields): Finding[] {
  const lists = [fields(root['routing'])['fallbacks'], ...items(root['routes']).map(({ fallbacks }) => fallbacks)]
  if (fields(root['retry'])['attempts'] !== 1 || !lists.some((list) => Array.isArray(list) && list.length > 0)) return []
  return [{ path: ['retry', 'attempts'], message: 'leaves none for a fallback: a call that fails is not asked of another model' }]
}

function trials(root: Fields): Finding[] {
  return Object.entries(fields(root['credentials']))
    .filter(([, credential]) => 'value' in fields(credential))
    .map(([name]) => ({
      path: ['credentials', name, 'value'],
      message: 'is for trials: whoever reads the config has the key; use file or env',
    }))
}

function unused(root: Fields): Finding[] {
  const used = new Set<unknown>(
    items(root['upstreams']).flatMap(({ credential, credentials }) => [credential, ...(Array.isArray(credentials) ? credentials : [])]),
  )
  return Object.keys(fields(root['credentials']))
    .filter((name) => !used.has(name))
    .map((name) => ({ path: ['credentials', name], message: 'is used by no upstream' }))
}

type Fields = Readonly<Record<string, unknown>>

function fields(value: unknown): Fields {
  return isMapping(value) ? value : {}
}

function items(value: unknown): Fields[] {
  return Array.isArray(value) ? value.map(fields) : []
}
