/** Where what clients refer to by id was made: another account does not have it. */
export interface Pins {
  readonly learn: (id: string, account: string, now: number) => void
  /** The account that made it; undefined where nobody here has seen it made, or long ago. */
  readonly find: (id: string, now: number) => string | undefined
}

/** What is known, over all configs: the least lately used first. */
export type PinBook = Map<string, Pin>

interface Pin {
  readonly account: string
  /** When it was made, or named last. */
  readonly at: number
}

export interface PinsOptions {
  readonly most: number
  readonly keepMs: number
}

/** No provider makes longer ones; what is longer would only fill the memory. */
const longestId = 256

export function pins(book: PinBook, { most, keepMs }: PinsOptions): Pins {
  const put = (id: string, account: string, now: number): void => {
    book.delete(id)
    book.set(id, { account, at: now })
  }
  return {
    learn: (id, account, now) => {
      if (id === '' || id.length > longestId) return
      put(id, account, now)
      if (book.size <= most) return
      // More than one only where an earlier config allowed more.
      for (const oldest of book.keys()) {
        if (book.size <= most) break
        book.delete(oldest)
      }
    },
    find: (id, now) => {
      const pin = book.get(id)
      if (pin === undefined) return undefined
      if (now - pin.at >= keepMs) {
        book.delete(id)
        return undefined
      }
      // What is in use stays: a conversation may go on for longer than an answer is kept.
      put(id, pin.account, now)
      return pin.account
    },
  }
}
