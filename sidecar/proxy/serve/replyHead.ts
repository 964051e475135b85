import { STATUS_CODES, type ServerResponse } from 'node:http'
import type { Call, Headers, Reply } from '../call.ts'
import { kinds } from '../errors.ts'

/** What node:http keeps to itself, and its own `writeHead` sets before it stores a head. */
interface Storing {
  _hasBody: boolean
  readonly _expect_continue: boolean
  readonly _sent100: boolean
  readonly _storeHeader: (start: string, lines: readonly string[]) => void
}

/**
 * Gives a response its head. Its own `writeHead` looks at every line for what a parser has looked at before, and at every name for the few that
 * node:http acts upon: so the others are made text here, and stand behind the status line as one piece.
 */
export function writeReplyHead(res: ServerResponse, reply: Reply, call: Call): void {
  const { status, headers, own } = reply
  const acted: string[] = []
  const options = optionsOf(headers['connection'])
  let lines = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'unknown'}\r\n`
  for (const name in headers) {
    if (isHopByHop(name) || (options !== '' && namedIn(options, name))) continue
    // It has no body, and some clients would wait for one.
    if (status === 204 && name === 'content-length') continue
    const value = headers[name]
    if (typeof value === 'string' && !isActedUpon(name)) lines += `${name}: ${value}\r\n`
    else if (typeof value === 'string') acted.push(name, value)
    else if (value !== undefined) for (const one of value) acted.push(name, one)
  }
  lines += oursOf(call)
  // A name that a client made up may stand in these: they are looked at like anybody's.
  const { model, served } = call.facts
  if (served !== '' && served !== model) acted.push('x-outrider-model', served)
  if (own !== undefined) acted.push(...own)
  const storing = res as unknown as Storing
  res.statusCode = status
  if (status === 204 || status === 304) storing._hasBody = false
  // A client that was not told to go on may send its body all the same: nothing can follow it.
  if (storing._expect_continue && !storing._sent100) res.shouldKeepAlive = false
  storing._storeHeader(lines, acted)
}

/** The headers of every answer: words and numbers, and a name that the config allows. */
function oursOf({ id, facts: { error, attempts, upstream, side } }: Call): string {
  // Only where the answer is ours: an upstream that is a sidecar itself may send one of its own.
  const failure = error === undefined ? '' : `x-outrider-error: ${error}\r\nx-outrider-fault: ${kinds[error].fault}\r\n`
  const whence = attempts === 0 ? '' : `x-outrider-upstream: ${upstream}\r\nx-outrider-attempts: ${attempts}\r\n`
  const where = side === undefined || attempts === 0 ? '' : `x-outrider-side: ${side.served}\r\n`
  return `x-outrider-call: ${id}\r\n${failure}${whence}${where}`
}

function isActedUpon(name: string): boolean {
  switch (name) {
    case 'content-length':
    case 'date':
    case 'expect':
    case 'trailer':
    case 'content-disposition':
      return true
    default:
      return false
  }
}

/** Empty where they name nothing that is for this hop alone. */
function optionsOf(lines: Headers[string]): string {
  if (lines === undefined || lines === 'keep-alive' || lines === 'close') return ''
  return (typeof lines === 'object' ? lines.join() : lines).toLowerCase()
}

const namedIn = (list: string, name: string): boolean => list.split(',').some((token) => token.trim() === name)

function isHopByHop(name: string): boolean {
  switch (name) {
    case 'connection':
    case 'keep-alive':
    case 'proxy-connection':
    case 'proxy-authenticate':
    case 'te':
    case 'transfer-encoding':
    case 'upgrade':
      return true
    default:
      return name.startsWith('x-outrider-')
  }
}
