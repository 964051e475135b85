import { BlockList, isIP, isIPv6 } from 'node:net'
import type { Egress } from './egress.ts'

export interface EgressRules {
  readonly httpsProxy?: string | undefined
  readonly httpProxy?: string | undefined
  readonly noProxy?: readonly string[] | undefined
}

/** The proxy on the way to `url`, decided once: `own` is the upstream's own word on it, a proxy or `none`. */
export function egressFor(url: URL, own: string | undefined, rules: EgressRules): Omit<Egress, 'context'> | undefined {
  if (own === 'none') return undefined
  const host = bareHost(url.hostname)
  const port = url.port === '' ? (url.protocol === 'https:' ? '443' : '80') : url.port
  const general = url.protocol === 'https:' ? rules.httpsProxy : rules.httpProxy
  const chosen = own ?? (rules.noProxy?.some((entry) => covers(entry, host, port)) === true ? undefined : general)
  return chosen === undefined ? undefined : parse(chosen)
}

function parse(text: string): Omit<Egress, 'context'> {
  const url = new URL(text)
  const secure = url.protocol === 'https:'
  const hasLogin = url.username !== '' || url.password !== ''
  const login = hasLogin ? `${decoded(url.username)}:${decoded(url.password)}` : undefined
  return {
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: url.port === '' ? (secure ? 443 : 80) : Number(url.port),
    secure,
    authorization: login === undefined ? undefined : Buffer.from(login).toString('base64'),
  }
}

/** A password with a lone percent sign was meant as it stands. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** NO_PROXY as curl reads it: a name covers its subdomains, with or without the leading dot. */
function covers(entry: string, host: string, port: string): boolean {
  if (entry === '*') return true
  if (entry.includes('/')) return inBlock(entry, host)
  const [, name = entry, onlyPort] = /^(\[.*\]|[^:]*):(\d+)$/.exec(entry) ?? []
  if (onlyPort !== undefined && Number(onlyPort) !== Number(port)) return false
  const bare = bareHost(name.replace(/^\*?\./, ''))
  if (isIP(bare) !== 0 || isIP(host) !== 0) return sameAddress(bare, host)
  return host === bare || host.endsWith(`.${bare}`)
}

const bareHost = (text: string): string =>
  text
    .replace(/^\[|\]$/g, '')
    .replace(/\.$/, '')
    .toLowerCase()

/** An IPv6 address can be written in many ways. */
function sameAddress(one: string, other: string): boolean {
  if (isIP(one) === 0 || isIP(one) !== isIP(other)) return false
  return inBlock(`${one}/${isIPv6(one) ? 128 : 32}`, other)
}

function inBlock(block: string, host: string): boolean {
  const [, net = '', bits = ''] = /^\[?([^[\]/]*)\]?\/(\d{1,3})$/.exec(block) ?? []
  if (isIP(host) === 0 || isIP(net) === 0 || isIPv6(net) !== isIPv6(host)) return false
  // What is no block covers nothing: a slip of the pen must not send everything past the proxy.
  if (Number(bits) > (isIPv6(net) ? 128 : 32)) return false
  const family = isIPv6(net) ? 'ipv6' : 'ipv4'
  const list = new BlockList()
  list.addSubnet(net, Number(bits), family)
  return list.check(host, family)
}
