import type { IncomingMessage } from 'node:http'
import type { Wishes } from '../call.ts'
import { SidecarError } from '../errors.ts'
import { traceFrom, traceparentOf, type Trace } from '../trace.ts'

/** A request's header, sorted out in one pass: it is the first thing every call pays for. */
export interface RequestHead {
  readonly path: string | undefined
  readonly headers: string[]
  readonly wishes: Wishes
  /** Its `traceparent` is among the headers. */
  readonly trace: Trace
  /** Zero without a body, undefined when it comes chunked. */
  readonly length: number | undefined
  /** The client waits for `100 Continue` before it sends its body. */
  readonly asksFirst: boolean
  /** Mostly a shape that two servers could read differently; what Node's parser refuses by itself never comes here. */
  readonly problem: SidecarError | undefined
}

/** Where the app's requests are served. */
const prefix = '/v1'

export function requestHead(req: IncomingMessage, mostLines: number): RequestHead {
  const { rawHeaders } = req
  const headers: string[] = []
  let hosts = 0
  let host = ''
  let expect = ''
  let length = 0
  let codings = 0
  let coding = ''
  let connection = ''
  let contentType = ''
  let key: string | undefined
  let timeoutMs = 0
  let readTimeoutMs = 0
  let retries = 0
  let upstream = ''
  let model = ''
  let traceparent: string | undefined
  let traceState = false
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at] ?? ''
    const value = rawHeaders[at + 1] ?? ''
    const lower = name.toLowerCase()
    switch (lower) {
      case 'host':
        hosts++
        host = value
        continue
      case 'expect':
        expect = expect === '' ? value : `${expect},${value}`
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
      // No header at all (RFC 9110, 18.4), lest the option of Connection be taken for the name of one.
      case 'close':
      case 'keep-alive':
      case 'proxy-connection':
      case 'proxy-authorization':
      case 'te':
      case 'trailer':
      case 'upgrade':
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
      case 'traceparent':
        // Sent twice it says nothing.
        traceparent = traceparent === undefined ? value : ''
        continue
      case 'tracestate':
        traceState = true
        break
      case 'x-stainless-timeout':
        timeoutMs = seconds(value)
        break
      case 'x-stainless-read-timeout':
        readTimeoutMs = seconds(value)
        break
      case 'x-stainless-retry-count':
        retries = Number(value) || 0
        break
      default:
        if (!lower.startsWith('x-outrider-')) break
        if (lower === 'x-outrider-upstream') upstream = value
        else if (lower === 'x-outrider-model') model = value
        continue
    }
    headers.push(name, value)
  }
  const version11 = req.httpVersionMajor === 1 && req.httpVersionMinor === 1
  const asksFirst = version11 && expect !== ''
  const shape = hostProblem(hosts, host, version11) ?? codingProblem(codings, coding, version11)
  const problem = lineProblem(req, mostLines) ?? shape ?? (asksFirst ? expectProblem(expect) : undefined)
  const trace = traceFrom(traceparent ?? '')
  return {
    path: pathOf(req.url ?? ''),
    headers: handedOn(headers, connection, trace, traceState),
    trace,
    wishes: { contentType, key, timeoutMs, readTimeoutMs, retries, upstream, model },
    length: codings > 0 ? undefined : length,
    asksFirst,
    problem,
  }
}

function handedOn(headers: string[], connection: string, trace: Trace, traceState: boolean): string[] {
  // The state of a trace that is not continued belongs to nothing any more.
  const kept = isOrdinary(connection) && (!traceState || trace.continued) ? headers : without(headers, connection, trace)
  kept.push('traceparent', traceparentOf(trace))
  return kept
}

function lineProblem({ rawHeaders, httpVersionMajor, method, url = '' }: IncomingMessage, mostLines: number): SidecarError | undefined {
  if (rawHeaders.length > 2 * mostLines)
    return new SidecarError('header_too_large', `the header has more than ${mostLines} lines, the most that limits.headers allows`)
  if (httpVersionMajor !== 1) return unsafe('a version other than HTTP/1.0 and HTTP/1.1')
  // Its answer repeats the request as the upstream got it, key and all (RFC 9110, 9.3.8).
  if (method === 'TRACE') return unsafe('the method TRACE, whose answer would show the key')
  if (!url.startsWith('/') && url !== '*')
    return unsafe('a whole URL as its target, and this is no forward proxy: let the base URL of the app name this port, and not HTTP_PROXY')
  return undefined
}

function hostProblem(hosts: number, host: string, version11: boolean): SidecarError | undefined {
  if (hosts > 1) return unsafe('two Host headers')
  return host === '' && (version11 || hosts > 0) ? unsafe('no Host header') : undefined
}

function codingProblem(codings: number, coding: string, version11: boolean): SidecarError | undefined {
  const isKnown = codings === 0 || (codings === 1 && version11 && coding.toLowerCase() === 'chunked')
  return isKnown ? undefined : unsafe('a Transfer-Encoding that is not just "chunked", on HTTP/1.1')
}

function expectProblem(expect: string): SidecarError | undefined {
  if (expect.toLowerCase() === '100-continue') return undefined
  return new SidecarError('expectation_failed', 'of "Expect" only 100-continue is understood: leave the header out')
}

const unsafe = (what: string): SidecarError => new SidecarError('bad_request', `the request has ${what}`)

/** What follows /v1, untouched; undefined for everything else. */
function pathOf(target: string): string | undefined {
  if (!target.startsWith(prefix)) return undefined
  const next = target.charCodeAt(prefix.length)
  return Number.isNaN(next) || next === 0x2f || next === 0x3f ? target.slice(prefix.length) : undefined
}

function seconds(value: string): number {
  const number = Number(value)
  return number > 0 && number < 1e6 ? number * 1_000 + clientFirstMs : 0
}

/**
 * A client that has waited as long as it wanted leaves by itself and calls that a timeout; only for one that stays do we end the call. A
 * container at its CPU limit stands still for some 100 ms at a time, and its client must ring first all the same.
 */
const clientFirstMs = 250

function isOrdinary(connection: string): boolean {
  return connection === '' || connection === 'keep-alive' || connection === 'close' || connection === 'Keep-Alive'
}

/** A header named in `Connection` is for this hop only. */
function without(headers: string[], connection: string, { continued }: Trace): string[] {
  const named = new Set(
    connection
      .toLowerCase()
      .split(',')
      .map((token) => token.trim()),
  )
  if (!continued) named.add('tracestate')
  return headers.filter((_item, at) => !named.has((headers[at - (at % 2)] ?? '').toLowerCase()))
}
