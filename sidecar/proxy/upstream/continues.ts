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
 * Takes `100 Continue` answers that nobody asked for out of what a socket reads, also from behind other interim ones. Undici treats one as a
 * protocol error and fails the call; servers behind some balancers send them all the same. Armed for the head of each answer only.
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
    let passing: Buffer | undefined
    held = undefined
    while (armed > 0 && isInterim(bytes)) {
      const end = bytes.indexOf('\r\n\r\n') + 4
      if (end < 4) {
        if (bytes.length > longest) break
        held = bytes
        return passing ?? null
      }
      armed--
      if (!isContinue(bytes)) passing = joined(passing, bytes.subarray(0, end))
      bytes = bytes.subarray(end)
      if (bytes.length === 0) return passing ?? null
    }
    armed = 0
    return joined(passing, bytes)
  }

  return {
    expectHead: () => {
      armed = most
      held = undefined
    },
    heard: () => armed < most || held !== undefined,
  }
}

const joined = (first: Buffer | undefined, second: Buffer): Buffer => (first === undefined ? second : Buffer.concat([first, second]))

/** Also true for a beginning that may still become one. A switch of protocols is no interim answer. */
function isInterim(bytes: Buffer): boolean {
  // Nearly all answers show by one byte that they are none: no text is made for them.
  if (bytes.length >= 12 && bytes[9] !== one) return false
  const start = bytes.toString('latin1', 0, 12)
  if (start.length < 12) return 'HTTP/1.1 1'.startsWith(start.slice(0, 10))
  return (start.startsWith('HTTP/1.1 1') || start.startsWith('HTTP/1.0 1')) && !start.endsWith(' 101')
}

const isContinue = (bytes: Buffer): boolean => bytes.toString('latin1', 9, 12) === '100'
