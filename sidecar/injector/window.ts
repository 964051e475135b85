export interface BoundedOptions<Item> {
  readonly keyOf: (item: Item) => string
  /** Lets one through; `times` is how often it came since `firstMs`. */
  readonly pass: (item: Item, times: number, firstMs: number) => void
  readonly held: (why: 'repeated' | 'dropped') => void
  /** For how long a repetition is only counted. */
  readonly windowMs?: number
  /** How many may pass at once, and how many a second after that. */
  readonly burst?: number
  readonly perSecond?: number
}

export interface Bounded<Item> {
  readonly take: (item: Item) => void
  readonly close: () => void
}

/** A Deployment that cannot be injected comes again with each of its pods. */
const defaultWindowMs = 10 * 60_000
const mostKeys = 1_000

/** The first of its kind passes at once; what follows within the window passes together at its end. */
export function bounded<Item>({
  keyOf,
  pass,
  held,
  windowMs = defaultWindowMs,
  burst = 20,
  perSecond = 1,
}: BoundedOptions<Item>): Bounded<Item> {
  const open = new Map<string, { item: Item; times: number; sinceMs: number; timer: NodeJS.Timeout }>()
  let tokens = burst
  let filledMs = performance.now()

  const spend = (): boolean => {
    const now = performance.now()
    tokens = Math.min(burst, tokens + ((now - filledMs) / 1_000) * perSecond)
    filledMs = now
    if (tokens < 1) return false
    tokens--
    return true
  }
  const letPass = (item: Item, times: number, firstMs: number): void => {
    if (spend()) pass(item, times, firstMs)
    else held('dropped')
  }
  const end = (key: string): void => {
    const one = open.get(key)
    open.delete(key)
    if (one === undefined || one.times === 0) return
    letPass(one.item, one.times, one.sinceMs)
  }

  return {
    take: (item) => {
      const key = keyOf(item)
      const one = open.get(key)
      if (one !== undefined) {
        one.times++
        return held('repeated')
      }
      if (open.size < mostKeys) {
        const timer = setTimeout(end, windowMs, key)
        timer.unref()
        open.set(key, { item, times: 0, sinceMs: Date.now(), timer })
      }
      letPass(item, 1, Date.now())
    },
    close: () => {
      for (const { timer } of open.values()) clearTimeout(timer)
      open.clear()
    },
  }
}
