import type { Config } from '../config/config.ts'
import type { RetryOptions } from './layers/retry.ts'

/** How long calls wait between attempts, and until when. */
export const retryWaits = ({ retry, timeouts }: Config): Omit<RetryOptions, 'clock' | 'random' | 'refused'> => ({
  totalMs: timeouts.total,
  streamTotalMs: timeouts.streamTotal,
  backoffMs: retry.backoff,
  throttledBackoffMs: retry.throttledBackoff,
  longestBackoffMs: retry.longestBackoff,
  longestWaitMs: retry.longestWait,
  waitBeforeFallbackMs: retry.waitBeforeFallback,
  spread: retry.spread,
  leastLeftMs: retry.leastLeft,
})
