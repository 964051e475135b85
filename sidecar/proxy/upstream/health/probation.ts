/**
 * The one place for a real call at an upstream that may be well again. One, and not as many as somebody likes: the first that goes well ends the
 * probation, and what a second one adds is one more call that fails where nothing is well yet.
 */
export interface Probation {
  readonly taken: (now: number) => boolean
  readonly take: (now: number) => void
  readonly leave: () => void
}

/** Should its call never be heard of again, the place is free after a while. */
export function probation(longestProbeMs: number): Probation {
  let takenAt: number | undefined
  return {
    taken: (now) => takenAt !== undefined && now - takenAt < longestProbeMs,
    take: (now) => {
      takenAt = now
    },
    leave: () => {
      takenAt = undefined
    },
  }
}
