import type { Socket } from 'node:net'

const longest = 4 * 1024
const most = 20
const one = 0x31

export interface Continues {
  /** Called before each attempt: the head of an answer is next. */
  readonly expectHead: () => void
  /** Something has come since, though Undici may not know: the upstream has seen the request. */
  readonly heard: () => boolean
}

/**
 * Takes `100 Continue` answers that nobody asked for out of what a socket reads. Undici treats one as a protocol error and fails the call;
 * servers behind some balancers send them all the same. Armed for the head of each answer only.
 */
export function dropContinues(socket: Socket): Continues {
  const read = socket.read.bind(socket) as (size?: number) => Buffer | null
  let armed = 0
  let held: Buffer | undefined
  socket.read = (size?: number): Buffer | null => {
    const chunk = read(size)
    if (armed === 0 || chunk === null) return chunk
    return clean(chunk)
  }

  const clean = (chunk: Buffer): Buffer | null => {
    let bytes = held === undefined ? chunk : Buffer.concat([held, chunk])
    held = undefined
    while (armed > 0 && isContinue(bytes)) {
      const end = bytes.indexOf('\r\n\r\n')
      if (end < 0) {
        if (bytes.length > longest) break
        held = bytes
        return null
      }
      armed--
      bytes = bytes.subarray(end + 4)
      if (bytes.length === 0) return null
    }
    armed = 0
    return bytes
  }

  return {
    expectHead: () => {
      armed = most
      held = undefined
    },
    heard: () => armed < most || held !== undefined,
  }
}

/** Also true for a beginning that may still become one. */
function isContinue(bytes: Buffer): boolean {
  // Nearly all answers show by one byte that they are none: no text is made for them.
  if (bytes.length >= 12 && bytes[9] !== one) return false
  const start = bytes.toString('latin1', 0, 12)
  return start.length === 12 ? start === 'HTTP/1.1 100' || start === 'HTTP/1.0 100' : 'HTTP/1.1 100'.startsWith(start)
}
