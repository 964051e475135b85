/** Where what clients refer to by id was made: another account does not have it. */
export interface Pins {
  readonly learn: (id: string, upstream: string, now: number) => void
  /** The upstream that made it; undefined where nobody here has seen it made, or long ago. */
  readonly find: (id: string, now: number) => string | undefined
  /** The upstream is no longer configured. */
  readonly forget: (upstream: string) => void
  readonly size: () => number
}

export interface PinsOptions {
  /** Some two hundred bytes each. */
  readonly most?: number
  /** As long as providers keep answers that were stored. */
  readonly keepMs?: number
}

interface Pin {
  readonly upstream: string
  readonly until: number
}

/** No provider makes longer ones; what is longer would only fill the memory. */
const longestId = 256

export function pins({ most = 20_000, keepMs = 30 * 24 * 3_600_000 }: PinsOptions = {}): Pins {
  /** The least lately used first. */
  const byId = new Map<string, Pin>()
  const put = (id: string, upstream: string, now: number): void => {
    byId.delete(id)
    byId.set(id, { upstream, until: now + keepMs })
  }
  return {
    learn: (id, upstream, now) => {
      if (id === '' || id.length > longestId) return
      put(id, upstream, now)
      if (byId.size <= most) return
      for (const oldest of byId.keys()) {
        byId.delete(oldest)
        break
      }
    },
    find: (id, now) => {
      const pin = byId.get(id)
      if (pin === undefined) return undefined
      if (now >= pin.until) {
        byId.delete(id)
        return undefined
      }
      // What is in use stays: a conversation may go on for longer than an answer is kept.
      put(id, pin.upstream, now)
      return pin.upstream
    },
    forget: (upstream) => {
      for (const [id, pin] of byId) if (pin.upstream === upstream) byId.delete(id)
    },
    size: () => byId.size,
  }
}
