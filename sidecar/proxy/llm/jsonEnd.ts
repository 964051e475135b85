/** Follows a JSON text chunk by chunk and knows whether it has closed; for answers whose framing does not tell. */
export interface JsonEnd {
  feed: (bytes: Buffer) => void
  closed: () => boolean
}

export function jsonEnd(): JsonEnd {
  /** The closing brackets that are awaited, the next one last. */
  const open: number[] = []
  let inString = false
  let escaped = false
  let began = false
  let spoiled = false

  const step = (byte: number): void => {
    if (inString) {
      if (escaped) escaped = false
      else if (byte === 0x5c) escaped = true
      else if (byte === 0x22) inString = false
      return
    }
    if (byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09) return
    if (began && open.length === 0) spoiled = true
    if (byte === 0x22) inString = true
    else if (byte === 0x7b || byte === 0x5b) open.push(byte + 2)
    else if (byte === 0x7d || byte === 0x5d) spoiled ||= open.pop() !== byte
    // A text that is only a number cannot show that it is whole.
    else if (open.length === 0) spoiled = true
    began = true
  }

  return {
    feed: (bytes) => {
      for (const byte of bytes) step(byte)
    },
    closed: () => began && open.length === 0 && !inString && !spoiled,
  }
}
