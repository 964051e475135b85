import { BlockList, isIP, isIPv6 } from 'node:net'
import type { Egress } from './egress.ts'

export interface EgressRules {
  readonly httpsProxy?: string | undefined
  readonly httpProxy?: string | undefined
  readonly noProxy?: readonly string[] | undefined
}

/** The proxy on the way to `url`, decided once: `own` is the upstream's own word on it, a proxy or `none`. */
export function egressFor(url: URL, own: string | undefined, rules: EgressRules): Egress | undefined {
  if (own === 'none') return undefined
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const port = url.port === '' ? (url.protocol === 'https:' ? '443' : '80') : url.port
  const general = url.protocol === 'https:' ? rules.httpsProxy : rules.httpProxy
  const chosen = own ?? (rules.noProxy?.some((entry) => covers(entry, host, port)) === true ? undefined : general)
  return chosen === undefined ? undefined : parse(chosen)
}

function parse(text: string): Egress {
  const url = new URL(text)
  const secure = url.protocol === 'https:'
  const login = url.username === '' ? undefined : `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`
  return {
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: url.port === '' ? (secure ? 443 : 80) : Number(url.port),
    secure,
    authorization: login === undefined ? undefined : Buffer.from(login).toString('base64'),
  }
}

/** NO_PROXY as curl and Go read it: a name covers its subdomains, with or without the leading dot. */
function covers(entry: string, host: string, port: string): boolean {
  if (entry === '*') return true
  if (entry.includes('/')) return inBlock(entry, host)
  const [, name = entry, onlyPort] = /^(\[.*\]|[^:]*):(\d+)$/.exec(entry) ?? []
  if (onlyPort !== undefined && onlyPort !== port) return false
  const bare = name
    .replace(/^\[|\]$/g, '')
    .replace(/^\*?\./, '')
    .toLowerCase()
  return host.toLowerCase() === bare || (isIP(host) === 0 && host.toLowerCase().endsWith(`.${bare}`))
}

function inBlock(block: string, host: string): boolean {
  const [net = '', bits = ''] = block.split('/')
  if (isIP(host) === 0 || isIP(net) === 0 || isIPv6(net) !== isIPv6(host)) return false
  const family = isIPv6(net) ? 'ipv6' : 'ipv4'
  const list = new BlockList()
  list.addSubnet(net, Number(bits), family)
  return list.check(host, family)
}
