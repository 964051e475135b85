import { randomBytes } from 'node:crypto'

/** Where one direction of a WebSocket stands. */
export interface Frames {
  /** Reads on from `at` to the end of the frame it is in, or of the bytes; answers where it stopped. */
  readonly take: (bytes: Buffer, at: number) => number
  /** True between two frames: only there may a frame of ours stand. */
  readonly between: () => boolean
  /** A close frame has begun: nothing may follow it. */
  readonly closed: () => boolean
}

const opClose = 0x8
const shortest = 2

/** Counts the frames of one direction by their headers, in whatever pieces they come. What they carry is never looked at. */
export function frames(): Frames {
  let read = 0
  let wanted = shortest
  let lengthEnds = shortest
  let length = 0
  let left = 0
  let closed = false

  const header = (byte: number): void => {
    if (read === 0) {
      if ((byte & 0x0f) === opClose) closed = true
    } else if (read === 1) {
      const short = byte & 0x7f
      lengthEnds = shortest + (short === 127 ? 8 : short === 126 ? 2 : 0)
      wanted = lengthEnds + (byte & 0x80 ? 4 : 0)
      length = short < 126 ? short : 0
    } else if (read < lengthEnds) {
      // Beyond 2^53 this is no longer exact, and no such frame ever ends.
      length = length * 256 + byte
    }
    read++
    if (read < wanted) return
    left = length
    read = 0
    wanted = shortest
  }

  const take = (bytes: Buffer, from: number): number => {
    let at = from
    while (at < bytes.length) {
      if (left === 0) header(bytes[at++] ?? 0)
      else {
        const step = Math.min(left, bytes.length - at)
        left -= step
        at += step
      }
      if (read === 0 && left === 0) break
    }
    return at
  }

  return { take, between: () => read === 0 && left === 0, closed: () => closed }
}

/** A control frame carries at most 125 bytes, two of them the code. */
const longestReason = 123

/** A whole close frame. What goes to a server has to be masked. */
export function closeFrame(code: number, reason: string, masked: boolean): Buffer {
  const text = new Uint8Array(longestReason)
  // Stops in front of a character that no longer fits: half a character is not valid.
  const { written } = new TextEncoder().encodeInto(reason, text)
  const payload = Buffer.from([code >> 8, code & 0xff, ...text.subarray(0, written)])
  if (!masked) return Buffer.concat([Buffer.from([0x80 | opClose, payload.length]), payload])
  const mask = randomBytes(4)
  const hidden = payload.map((byte, at) => byte ^ (mask[at % 4] ?? 0))
  return Buffer.concat([Buffer.from([0x80 | opClose, 0x80 | payload.length]), mask, hidden])
}
