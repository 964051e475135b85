import { connect, type Socket, type TcpNetConnectOpts } from 'node:net'

/** As much as the kernel gives at a time. */
const shared = Buffer.allocUnsafeSlow(64 * 1024)

/**
 * Opens a socket that reads through one buffer for all of its kind, out of which only what has come is copied. Node otherwise allocates 64 KiB
 * for each read, to give most of it back, and takes what it has read through a stream that is made for other readers than Undici, who asks
 * for one chunk after the other.
 */
export function connectWithSharedReads(options: TcpNetConnectOpts): Socket {
  /** Nearly always empty: what has come is taken at once. */
  const waiting: Buffer[] = []
  const socket = connect({
    ...options,
    onread: {
      buffer: shared,
      callback: (bytes) => {
        waiting.push(Buffer.from(shared.subarray(0, bytes)))
        socket.emit('readable')
        // What nobody wants yet makes the peer wait.
        return waiting.length === 0
      },
    },
  })
  const read = socket.read.bind(socket) as (size?: number) => Buffer | null
  socket.read = (size?: number): Buffer | null => {
    // What was put back comes before it. The end comes behind it: while something waits, nothing more is read.
    if (waiting.length === 0 || size === 0 || socket.readableLength > 0) return read(size)
    const chunk = waiting.shift() ?? null
    if (waiting.length === 0) socket._read(0)
    return chunk
  }
  return socket
}
