import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Call, Headers, Reply, Sink, Tap } from '../call.ts'
import type { Clock } from '../clock.ts'

/** Writes a reply to the client, as fast as the client takes it and no faster. */
export function pour(call: Call, reply: Reply, req: IncomingMessage, res: ServerResponse, clock: Clock): void {
  const { facts } = call
  if (res.destroyed || call.life.over) return reply.drop()
  facts.status = reply.status
  const declared = reply.headers['content-length']
  res.writeHead(reply.status, flat(reply.headers, call))
  let tap: Tap | undefined
  let wantsPause = false
  let over = false

  const sink: Sink = {
    data: (bytes) => {
      if (over) return true
      if (facts.bytesOut === 0) facts.firstByteMs = clock.now()
      facts.bytesOut += bytes.length
      // The last declared byte ends the answer in the same write.
      if (declared !== undefined && facts.bytesOut === Number(declared)) {
        over = true
        res.end(bytes)
        return true
      }
      if (res.write(bytes)) return true
      wantsPause = true
      return false
    },
    end: (trailers) => {
      if (over) return
      over = true
      if (trailers !== undefined && !isEmpty(trailers)) res.addTrailers(trailers as Record<string, string>)
      res.end()
    },
    fail: (reason) => {
      if (over) return
      over = true
      facts.error ??= reason.kind
      // The head is out: only a reset tells every client that the answer is not whole.
      req.socket.resetAndDestroy()
    },
  }
  tap = reply.flow(sink)
  if (over) return
  if (wantsPause) tap.pause()
  res.on('drain', () => {
    tap?.resume()
  })
}

const isEmpty = (headers: Headers): boolean => {
  for (const _name in headers) return false
  return true
}

/** A flat array is what writeHead is fastest with. */
function flat(headers: Headers, call: Call): string[] {
  const out: string[] = []
  const connection = headers['connection']
  const named = typeof connection === 'string' && !isPlain(connection) ? connection.toLowerCase() : ''
  for (const name in headers) {
    if (isHopByHop(name) || (named !== '' && namedIn(named, name))) continue
    const value = headers[name]
    if (typeof value === 'string') out.push(name, value)
    else if (value !== undefined) for (const one of value) out.push(name, one)
  }
  const { upstream, attempts } = call.facts
  out.push('x-outrider-call', call.id)
  if (attempts > 0) out.push('x-outrider-upstream', upstream, 'x-outrider-attempts', String(attempts))
  return out
}

const isPlain = (connection: string): boolean => connection === 'keep-alive' || connection === 'close'
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
      return name.startsWith('x-outrider-') && name !== 'x-outrider-error'
  }
}
