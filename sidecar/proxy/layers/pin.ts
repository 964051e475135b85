import type { Call, Handler, Layer, Reply, Sink } from '../call.ts'
import { idsMade, makesContainer, makesIds } from '../llm/references.ts'
import { isEventStream } from '../llm/sse.ts'
import { uncompressed } from './read.ts'

/** Hears of each id of what an account has made. */
export type Learn = (id: string) => void

/** Of an answer that is no stream: ids stand at its beginning, behind no more than the instructions that it repeats. */
const mostBytes = 64 * 1024
/** Of a stream: the response and its first item, which are what later calls refer to, come before any text. */
const mostReads = 8

/**
 * Learns from the answers of an account what it has made, so that later calls that name it come back here. Looks only at what makes such
 * things, never at a chat, and only where there is another account.
 */
export function pin(learn: Learn | undefined): Layer {
  if (learn === undefined) return (next) => next
  return (next) => (call) => {
    const { body, path = '' } = call
    const { operation } = call.facts
    if (makesIds(operation, path)) return learning(call, next, learn, mostReads)
    // Its container is told at the end.
    if (operation === 'messages' && Buffer.isBuffer(body) && makesContainer(body)) return learning(call, next, learn, Infinity)
    return next(call)
  }
}

async function learning(call: Call, next: Handler, learn: Learn, reads: number): Promise<Reply> {
  // What is compressed could not be read.
  const reply = await next({ ...call, headers: uncompressed(call.headers) })
  const { status, headers } = reply
  if (status < 200 || status > 299) return reply
  const learnFrom = (bytes: Buffer): void => {
    for (const id of idsMade(call.path ?? '', bytes)) learn(id)
  }
  const type = String(headers['content-type'])
  if (isEventStream(status, headers)) return { ...reply, flow: (sink) => reply.flow(ofEvents(reply, sink, reads, learnFrom)) }
  return /^application\/(?:[\w.-]+\+)?json/i.test(type) ? { ...reply, flow: (sink) => reply.flow(ofDocument(sink, learnFrom)) } : reply
}

/** Before they are passed on: a client may use an id as soon as it has it. */
function ofEvents({ told }: Reply, sink: Sink, reads: number, learnFrom: (bytes: Buffer) => void): Sink {
  let left = reads
  return {
    data: (events) => {
      if (left > 0) {
        left--
        learnFrom(events)
      }
      return sink.data(events)
    },
    end: (trailers) => {
      // What has been made on the way, such as the container of code that was run.
      if (told !== undefined) learnFrom(Buffer.from(told().last))
      sink.end(trailers)
    },
    fail: sink.fail,
  }
}

function ofDocument(sink: Sink, learnFrom: (bytes: Buffer) => void): Sink {
  let start: Buffer[] | undefined = []
  let bytes = 0
  const done = (): void => {
    if (start !== undefined) learnFrom(start.length === 1 && start[0] !== undefined ? start[0] : Buffer.concat(start))
    start = undefined
  }
  return {
    data: (chunk) => {
      if (start !== undefined) {
        start.push(chunk)
        bytes += chunk.length
        if (bytes >= mostBytes) done()
      }
      return sink.data(chunk)
    },
    end: (trailers) => {
      done()
      sink.end(trailers)
    },
    fail: sink.fail,
  }
}
