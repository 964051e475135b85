import { ConfigRefused } from '../../config/refused.ts'
import type { EgressRules } from './egressFor.ts'

type Env = Readonly<Record<string, string | undefined>>

/** What every program in a container is told of proxies by its environment; the config wins where it says something. */
export function egressRules(network: EgressRules, env: Env): EgressRules {
  const httpsProxy = network.httpsProxy ?? proxyIn(env, 'HTTPS_PROXY') ?? proxyIn(env, 'ALL_PROXY')
  const httpProxy = network.httpProxy ?? proxyIn(env, 'HTTP_PROXY') ?? proxyIn(env, 'ALL_PROXY')
  const fromEnv = network.httpsProxy === undefined && network.httpProxy === undefined && network.noProxy === undefined
  if (!fromEnv) return { ...network, httpsProxy, httpProxy }
  const listed = (valueOf(env, 'NO_PROXY') ?? '').split(/[\s,]+/).filter((entry) => entry !== '')
  // No proxy can reach what is on our own loopback, and nobody who sets these names thinks of it.
  return { httpsProxy, httpProxy, noProxy: [...listed, 'localhost', '127.0.0.0/8', '[::1]'] }
}

function proxyIn(env: Env, name: string): string | undefined {
  const value = valueOf(env, name)
  if (value === undefined) return undefined
  // `proxy.example:3128` is as common as the whole URL.
  const url = URL.parse(value.includes('://') ? value : `http://${value}`)
  if (url !== null && /^https?:$/.test(url.protocol)) return url.href
  throw new ConfigRefused('environment', [{ path: name, message: 'is not the URL of an HTTP proxy, such as http://proxy.example:3128' }])
}

/** Small letters win, as in curl. */
function valueOf(env: Env, name: string): string | undefined {
  const value = env[name.toLowerCase()] ?? env[name]
  return value === '' ? undefined : value
}
