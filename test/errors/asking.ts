import type { Owner } from '../fixtures/providerExchange.ts'
import { rawClient, repliesIn } from '../fixtures/rawClient.ts'

/** A request as a person would make it with curl. */
export interface Asking {
  readonly method?: string
  readonly path?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  /** What stands for a body that is too long to be read. */
  readonly shown?: string
  /** The client declares more than it sends. */
  readonly length?: number
  readonly leaves?: true
}

const chatBody = { model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'Hi' }] }

export const chatCall: Asking = { path: '/v1/chat/completions', body: JSON.stringify(chatBody) }
export const streamCall: Asking = { path: '/v1/chat/completions', body: JSON.stringify({ ...chatBody, stream: true }) }
export const messagesCall: Asking = { path: '/v1/messages', body: JSON.stringify({ ...chatBody, max_tokens: 100 }) }
export const messagesStream: Asking = { path: '/v1/messages', body: JSON.stringify({ ...chatBody, max_tokens: 100, stream: true }) }

export function bytesOf({ method, path = '/v1/chat/completions', headers = {}, body, length }: Asking): string {
  const own = body === undefined ? {} : { 'content-type': 'application/json', 'content-length': String(length ?? Buffer.byteLength(body)) }
  const lines = Object.entries({ host: 'localhost:8080', ...own, ...headers }).map(([name, value]) => `${name}: ${value}`)
  return [`${method ?? (body === undefined ? 'GET' : 'POST')} ${path} HTTP/1.1`, ...lines, 'connection: close', '', body ?? ''].join('\r\n')
}

export function curlOf({ method, path = '/v1/chat/completions', headers = {}, body, shown }: Asking, port = 8080): string {
  const verb = method === undefined ? '' : ` -X ${method}`
  const own = body === undefined ? {} : { 'content-type': 'application/json' }
  const lines = Object.entries({ ...own, ...headers }).map(([name, value]) => ` -H '${name}: ${value}'`)
  const data = body === undefined ? '' : shown === undefined ? ` \\\n  -d '${body}'` : ` --data-binary @${shown}`
  return `curl -i${verb} http://localhost:${port}${path}${lines.join('')}${data}`
}

/** All that comes back for a request, until the connection ends. */
export async function send(t: Owner, port: number, asking: Asking): Promise<string> {
  const client = await rawClient(t, port)
  client.send(bytesOf(asking))
  if (asking.leaves === true) client.socket.end()
  return shownReplies(await client.closed)
}

/** Headers that are the same in every answer tell nothing. */
const dull = /^(?:date|content-length|transfer-encoding|keep-alive|cache-control|x-accel-buffering)$/

/** Answers as curl shows them: the bodies without the chunks of HTTP. */
export function shownReplies(text: string): string {
  if (text === '') return '(the connection was closed without a byte)'
  if (!text.startsWith('HTTP/')) return text
  const shown = repliesIn(text).map(({ lines, header, body }) => {
    const told = lines.filter(([name]) => !dull.test(name)).map(([name, value]) => `${name}: ${value}`)
    return { told, body: header('transfer-encoding') === 'chunked' ? unchunked(body) : body }
  })
  const statusLines = [...text.matchAll(/HTTP\/1\.\d \d{3} [^\r]*(?=\r\n)/g)].map(([line]) => line)
  const texts = shown.map(({ told, body }, at) =>
    [statusLines[at], ...told, '', Buffer.from(body, 'latin1').toString()].join('\n').trimEnd(),
  )
  // A flood of interim answers is one line, and how often an event came before its stream broke off is chance.
  const once = texts.filter((one, at) => one !== texts[at - 1]).join('\n')
  return once.replaceAll(/(data: .*\n\n)\1+/g, '$1(and the same again)\n\n')
}

/** What had come of a body in chunks; a note where its end is missing. */
function unchunked(text: string): string {
  let rest = text
  let body = ''
  for (;;) {
    const end = rest.indexOf('\r\n')
    const size = Number.parseInt(rest.slice(0, Math.max(end, 0)), 16)
    if (size === 0) return body
    if (!(size > 0)) return `${body}\n(curl: (18) transfer closed with outstanding read data remaining)`
    body += rest.slice(end + 2, end + 2 + size)
    rest = rest.slice(end + 2 + size + 2)
  }
}
