import type { Socket } from 'node:net'

/** Beyond this a copy costs more than the pieces. */
const copiedBytes = 16 * 1024

/** What a stream hands to its `_writev`; `buffer` is what it calls the encoding of bytes. */
interface Piece {
  readonly chunk: Buffer | string
  readonly encoding: BufferEncoding | 'buffer'
}

/**
 * Lets a head and its body leave a socket as one buffer. node:http and Undici give them as two pieces, and two pieces cost a call a
 * microsecond more on either side, in Node and in the kernel, than copying them together.
 */
export function inOneWrite(socket: Socket): void {
  const inPieces = socket._writev
  if (inPieces === undefined) return
  socket._writev = (pieces: Piece[], done) => {
    const whole = joined(pieces)
    if (whole === undefined) inPieces.call(socket, pieces as Parameters<typeof inPieces>[0], done)
    else socket._write(whole, 'buffer' as BufferEncoding, done)
  }
}

function joined(pieces: readonly Piece[]): Buffer | undefined {
  let bytes = 0
  for (const { chunk, encoding } of pieces) {
    // Of other encodings the length is not known before they are written.
    if (typeof chunk === 'string' && encoding !== 'latin1') return undefined
    bytes += chunk.length
  }
  if (bytes > copiedBytes) return undefined
  const whole = Buffer.allocUnsafe(bytes)
  let at = 0
  for (const { chunk } of pieces) at += typeof chunk === 'string' ? whole.write(chunk, at, 'latin1') : chunk.copy(whole, at)
  return whole
}
