import type { Socket } from 'node:net'
import type { Headers } from '../headers.ts'
import type { ReadHead } from './headShapes.ts'

export interface ShortHead {
  /** Called before each attempt: what comes next begins with the head of its answer. */
  readonly expectHead: () => void
  /** What that head said, where undici was not told; it is forgotten then. */
  readonly taken: () => Headers | undefined
}

/** Lets a socket's reader see only as much of the head of an answer as it needs, where that head has come in one piece. */
export function shortHead(socket: Socket, readHead: (bytes: Buffer) => ReadHead | undefined): ShortHead {
  const read = socket.read.bind(socket) as (size?: number) => Buffer | null
  let expected = false
  let headers: Headers | undefined
  socket.read = (size?: number): Buffer | null => {
    const chunk = read(size)
    if (!expected || chunk === null) return chunk
    // Only once: what follows may be a body that looks like a head.
    expected = false
    const head = readHead(chunk)
    if (head === undefined) return chunk
    headers = head.headers
    // Over the end of the long one, which nobody needs any more.
    const from = head.length - head.short.length
    chunk.write(head.short, from, 'latin1')
    return chunk.subarray(from)
  }
  return {
    expectHead: () => {
      expected = true
      headers = undefined
    },
    taken: () => {
      const said = headers
      headers = undefined
      return said
    },
  }
}
