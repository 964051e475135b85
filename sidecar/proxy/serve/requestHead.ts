import type { IncomingMessage } from 'node:http'
import type { Wishes } from '../call.ts'

/** A request's header, sorted out in one pass: it is the first thing every call pays for. */
export interface RequestHead {
  readonly path: string | undefined
  readonly headers: string[]
  readonly wishes: Wishes
  /** Zero without a body, undefined when it comes chunked. */
  readonly length: number | undefined
  /** A shape that two servers could read differently; what Node's parser refuses by itself never comes here. */
  readonly problem: string | undefined
}

/** Where the app's requests are served. */
const prefix = '/v1'

export function requestHead(req: IncomingMessage): RequestHead {
  const { rawHeaders } = req
  const headers: string[] = []
  let hosts = 0
  let length = 0
  let codings = 0
  let coding = ''
  let connection = ''
  let contentType = ''
  let key: string | undefined
  let timeoutMs = 0
  let readTimeoutMs = 0
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at] ?? ''
    const value = rawHeaders[at + 1] ?? ''
    const lower = name.toLowerCase()
    switch (lower) {
      case 'host':
        hosts++
        continue
      case 'content-length':
        length = Number(value)
        continue
      case 'transfer-encoding':
        codings++
        coding = value
        continue
      case 'connection':
        connection = connection === '' ? value : `${connection},${value}`
        continue
      case 'keep-alive':
      case 'proxy-connection':
      case 'proxy-authorization':
      case 'te':
      case 'trailer':
      case 'upgrade':
      case 'expect':
      case 'http2-settings':
      case 'cookie':
        continue
      case 'authorization':
      case 'api-key':
      case 'x-api-key':
      case 'x-goog-api-key':
        key ??= lower === 'authorization' ? value.replace(/^\S+\s+/, '') : value
        continue
      case 'content-type':
        contentType = value
        break
      case 'x-stainless-timeout':
        timeoutMs = seconds(value)
        break
      case 'x-stainless-read-timeout':
        readTimeoutMs = seconds(value)
        break
      default:
        if (lower.startsWith('x-outrider-')) continue
    }
    headers.push(name, value)
  }
  const version11 = req.httpVersionMinor === 1
  const problem =
    hosts > 1
      ? 'two Host headers'
      : codings > 0 && (codings > 1 || !version11 || coding.toLowerCase() !== 'chunked')
        ? 'a Transfer-Encoding other than "chunked", once, on HTTP/1.1'
        : undefined
  return {
    path: pathOf(req.url ?? ''),
    headers: isOrdinary(connection) ? headers : without(headers, connection),
    wishes: { contentType, key, timeoutMs, readTimeoutMs },
    length: codings > 0 ? undefined : length,
    problem,
  }
}

/** What follows /v1, untouched; undefined for everything else, absolute-form targets among it: this is no forward proxy. */
function pathOf(target: string): string | undefined {
  if (!target.startsWith(prefix)) return undefined
  const next = target.charCodeAt(prefix.length)
  return Number.isNaN(next) || next === 0x2f || next === 0x3f ? target.slice(prefix.length) : undefined
}

function seconds(value: string): number {
  const number = Number(value)
  return number > 0 && number < 1e6 ? number * 1_000 : 0
}

function isOrdinary(connection: string): boolean {
  return connection === '' || connection === 'keep-alive' || connection === 'close' || connection === 'Keep-Alive'
}

/** A header named in `Connection` is for this hop only. */
function without(headers: string[], connection: string): string[] {
  const named = new Set(
    connection
      .toLowerCase()
      .split(',')
      .map((token) => token.trim()),
  )
  return headers.filter((_item, at) => !named.has((headers[at - (at % 2)] ?? '').toLowerCase()))
}
