import type { IncomingMessage } from 'node:http'
import type { Call, Headers } from '../call.ts'

const protocols = 'sec-websocket-protocol'
/** Browsers can set no header on a WebSocket, so their clients put the key among the subprotocols. */
const keyPrefix = 'openai-insecure-api-key.'

/** The request's header without a key among its subprotocols, and that key. */
export function withoutKey(headers: readonly string[]): { headers: string[]; key: string | undefined } {
  const kept: string[] = []
  let key: string | undefined
  for (let at = 0; at < headers.length; at += 2) {
    const name = headers[at] ?? ''
    const value = headers[at + 1] ?? ''
    if (name.toLowerCase() !== protocols || !value.includes(keyPrefix)) {
      kept.push(name, value)
      continue
    }
    const tokens = value.split(',').map((token) => token.trim())
    key ??= tokens.find((token) => token.startsWith(keyPrefix))?.slice(keyPrefix.length)
    const others = tokens.filter((token) => !token.startsWith(keyPrefix))
    if (others.length > 0) kept.push(name, others.join(', '))
  }
  return { headers: kept, key }
}

/** What setHeader takes: a name that came more than once has a list, and goes out as often. */
export function grouped(headers: readonly string[], host: string): Map<string, string | string[]> {
  const out = new Map<string, string | string[]>([
    ['host', host],
    ['connection', 'Upgrade'],
    ['upgrade', 'websocket'],
  ])
  const names = new Map<string, string>()
  for (let at = 0; at < headers.length; at += 2) {
    const name = headers[at] ?? ''
    const value = headers[at + 1] ?? ''
    const first = names.get(name.toLowerCase()) ?? name
    names.set(name.toLowerCase(), first)
    const before = out.get(first)
    out.set(first, before === undefined ? value : [before, value].flat())
  }
  return out
}

/** Every line of an answer's header on its own: what node:http has joined cannot be told apart again. */
export function separate({ rawHeaders }: IncomingMessage): Headers {
  const out = Object.create(null) as Headers
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = (rawHeaders[at] ?? '').toLowerCase()
    const value = rawHeaders[at + 1] ?? ''
    const before = out[name]
    out[name] = before === undefined ? value : [before, value].flat()
  }
  return out
}

const forThisHop = new Set(['connection', 'keep-alive', 'proxy-connection', 'proxy-authenticate', 'te', 'trailer', 'transfer-encoding'])

/** The header of the upstream's 101 as the client may see it. */
export function switched(answer: IncomingMessage, { id, facts }: Call): NodeJS.Dict<string | string[]> {
  const headers = separate(answer)
  const named = new Set(
    [headers['connection'] ?? '']
      .flat()
      .join(',')
      .toLowerCase()
      .split(',')
      .map((token) => token.trim()),
  )
  const out = Object.create(null) as NodeJS.Dict<string | string[]>
  for (const name in headers) {
    if (forThisHop.has(name) || name.startsWith('x-outrider-') || (named.has(name) && name !== 'upgrade')) continue
    out[name] = headers[name]
  }
  const added = {
    connection: 'Upgrade',
    'x-outrider-call': id,
    'x-outrider-upstream': facts.upstream,
    'x-outrider-attempts': `${facts.attempts}`,
  }
  return Object.assign(out, added)
}
