const seconds = 60

/** How often something happened per second, over the last minute. */
export function perSecond(now: () => number): { count: (atMs: number) => void; current: () => number } {
  const counts = Array.from({ length: seconds }, () => 0)
  const began = Math.floor(now() / 1_000)
  let at = began
  const forward = (toMs: number): void => {
    const second = Math.floor(toMs / 1_000)
    for (let stale = Math.max(at + 1, second - seconds + 1); stale <= second; stale++) counts[stale % seconds] = 0
    at = Math.max(at, second)
  }
  return {
    count: (atMs) => {
      forward(atMs)
      counts[at % seconds] = (counts[at % seconds] ?? 0) + 1
    },
    current: () => {
      forward(now())
      // In its first minute a process has not had a minute to count in.
      return counts.reduce((sum, one) => sum + one, 0) / Math.min(seconds, Math.max(1, at - began + 1))
    },
  }
}
