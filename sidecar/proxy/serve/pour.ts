import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Call, Headers, Reply, Sink, Tap } from '../call.ts'
import type { Clock } from '../clock.ts'
import { handOver, noteFailure } from '../facts.ts'
import { cancel } from '../life.ts'
import { endsOf, keepEnds } from '../llm/answerEnds.ts'
import { writeReplyHead } from './replyHead.ts'

/** The client's side of a call. */
export interface Client {
  readonly req: IncomingMessage
  readonly res: ServerResponse
  readonly clock: Clock
}

/** Writes a reply to the client, as fast as the client takes it and no faster. */
export function pour(call: Call, reply: Reply, { req, res, clock }: Client): void {
  const { facts } = call
  if (res.destroyed || call.life.over) return reply.drop()
  facts.status = reply.status
  // Here, where the answer is what the client gets, and at no cost for the chunks of a stream, which keeps its ends itself.
  const ends = endsOf(facts.operation, reply)
  facts.ends = ends
  const noted = ends?.told === undefined ? ends : undefined
  const declared = reply.headers['content-length']
  // An announcement of trailers where none can follow is an error to node:http.
  const bare = req.method === 'HEAD' || reply.status === 204 || reply.status === 304
  if (reply.headers['trailer'] !== undefined && (declared !== undefined || bare || req.httpVersionMinor === 0))
    delete reply.headers['trailer']
  writeReplyHead(res, reply, call)
  const write = writerFor(res)
  let tap: Tap | undefined
  let wantsPause = false
  let over = false

  const sink: Sink = {
    data: (bytes) => {
      if (over) return true
      if (facts.bytesOut === 0) {
        facts.firstByteMs = clock.now()
        handOver(facts, facts.firstByteMs)
      }
      facts.bytesOut += bytes.length
      facts.chunksOut++
      if (noted !== undefined) keepEnds(noted, bytes)
      // The last declared byte ends the answer in the same write.
      if (declared !== undefined && facts.bytesOut === Number(declared)) {
        over = true
        res.end(bytes)
        return true
      }
      if (write(bytes)) return true
      if (!wantsPause) res.on('drain', () => tap?.resume())
      wantsPause = true
      facts.slowClient = true
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
      if (facts.error === undefined) noteFailure(facts, reason)
      cancel(call.life, reason)
      // The head is out: only a reset tells every client that the answer is not whole. Over TLS an end without its closing alert says it.
      if ('encrypted' in req.socket) req.socket.destroy()
      else req.socket.resetAndDestroy()
    },
  }
  tap = reply.flow(sink)
  // The body may take its time, and the head is worth having before it.
  if (facts.bytesOut === 0 && !over) {
    res.flushHeaders()
    handOver(facts, clock.now())
  }
  if (wantsPause && !over) tap.pause()
}

/**
 * Writes the chunks of an answer of unknown length. node:http makes four pieces and a later tick of each; once its head is out, one write of
 * one buffer says the same, and streams are nothing but small chunks.
 */
function writerFor(res: ServerResponse): (bytes: Buffer) => boolean {
  const { socket } = res
  if (!res.chunkedEncoding || socket === null) return (bytes) => res.write(bytes)
  let first = true
  return (bytes) => {
    // The first bytes take the head with them (`headersSent` is true before it has gone); for the rest of that tick, node:http keeps what it
    // is given to itself: nothing may overtake it.
    if (first || res.writableCorked > 0 || bytes.length === 0 || bytes.length > copiedBytes) {
      first = false
      return res.write(bytes)
    }
    if (socket.write(framed(bytes))) return true
    socket.once('drain', () => res.emit('drain'))
    return false
  }
}

/** Beyond this a copy costs more than the pieces. */
const copiedBytes = 16 * 1024

function framed(bytes: Buffer): Buffer {
  const size = bytes.length.toString(16)
  const frame = Buffer.allocUnsafe(size.length + bytes.length + 4)
  let at = frame.write(`${size}\r\n`, 0, 'latin1')
  at += bytes.copy(frame, at)
  frame.write('\r\n', at, 'latin1')
  return frame
}

const isEmpty = (headers: Headers): boolean => {
  for (const _name in headers) return false
  return true
}
