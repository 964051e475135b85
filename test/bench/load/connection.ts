import { connect } from 'node:net'

/** What the sender of a request wants to hear. `ok` is false for any status but 200 and for a connection that broke. */
export type Exchange = { readonly end: (ok: boolean) => void; readonly events?: (count: number) => void }

export type Connection = { send(request: Buffer, exchange: Exchange): void; destroy(): void; readonly usable: () => boolean }

const bufferBytes = 16_384
const lineFeed = 10

/** One keep-alive HTTP/1.1 connection that reads just enough of a reply to know its end, and no pipelining. */
export function open(port: number): Connection {
  let exchange: Exchange | null = null
  let usable = true
  let read = replyReader()
  const socket = connect({
    port,
    host: '127.0.0.1',
    noDelay: true,
    onread: {
      buffer: Buffer.allocUnsafe(bufferBytes),
      callback: (length, buffer) => {
        const current = exchange
        if (current === null) return true
        const { ok, done, events } = read(Buffer.from(buffer.buffer, buffer.byteOffset, length))
        if (events > 0) current.events?.(events)
        if (done) finish(ok)
        return true
      },
    },
  })
  socket.on('error', () => socket.destroy())
  socket.on('close', () => {
    usable = false
    finish(false)
  })

  function finish(ok: boolean): void {
    const ended = exchange
    exchange = null
    read = replyReader()
    ended?.end(ok)
  }

  return {
    send: (request, next) => {
      exchange = next
      socket.write(request)
    },
    destroy: () => socket.destroy(),
    usable: () => usable && !socket.destroyed,
  }
}

type Progress = { readonly ok: boolean; readonly done: boolean; readonly events: number }

/** Reads one reply, piece by piece. Counts the ends of events where the body is chunked. */
function replyReader(): (piece: Buffer) => Progress {
  let head: Buffer | null = null
  let ok = false
  let left = -1
  let inBody = false
  let tail = Buffer.alloc(0)
  return (piece) => {
    let body = piece
    if (!inBody) {
      const bytes: Buffer = head ? Buffer.concat([head, piece]) : piece
      const headEnd = bytes.indexOf('\r\n\r\n')
      if (headEnd < 0) {
        head = Buffer.from(bytes)
        return { ok: false, done: false, events: 0 }
      }
      inBody = true
      const text = bytes.toString('latin1', 0, headEnd)
      ok = text.startsWith('HTTP/1.1 200')
      left = Number(/\r\ncontent-length: *(\d+)/i.exec(text)?.[1] ?? -1)
      body = bytes.subarray(headEnd + 4)
    }
    if (left >= 0) {
      left -= body.length
      return { ok, done: left <= 0, events: 0 }
    }
    const events = blankLines(body, tail.at(-1) === lineFeed)
    tail = Buffer.from(body.length >= 5 ? body.subarray(-5) : Buffer.concat([tail, body]).subarray(-5))
    return { ok, done: tail.toString('latin1') === '0\r\n\r\n', events }
  }
}

/** Events end with two line feeds, which neither heads nor chunk sizes contain. */
function blankLines(bytes: Buffer, afterLineFeed: boolean): number {
  let count = afterLineFeed && bytes[0] === lineFeed ? 1 : 0
  for (let at = bytes.indexOf('\n\n'); at >= 0; at = bytes.indexOf('\n\n', at + 2)) count++
  return count
}
