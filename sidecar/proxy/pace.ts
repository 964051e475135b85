/** How fast a stream brings what it brings, judged over one span after the other. */
export interface Pace {
  /** Of the span that is under way; for who counts them. */
  bytes: number
  /** When the span is over; never where there is nothing to judge by. */
  readonly dueMs: () => number
  /** Begins the next span, and says whether this one brought too little. */
  readonly isTooSlow: (now: number) => boolean
  readonly restart: (now: number) => void
}

/** `leastRate` is in bytes a second; zero for no bound. */
export function paceOf(leastRate: number, spanMs: number): Pace {
  let beganMs = Infinity
  const pace: Pace = {
    bytes: 0,
    dueMs: () => (leastRate > 0 ? beganMs + spanMs : Infinity),
    isTooSlow: (now) => {
      const least = (leastRate * (now - beganMs)) / 1_000
      const { bytes } = pace
      pace.restart(now)
      return bytes < least
    },
    restart: (now) => {
      beganMs = now
      pace.bytes = 0
    },
  }
  return pace
}
