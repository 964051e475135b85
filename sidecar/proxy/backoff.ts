export interface Backoff {
  readonly random: () => number
  readonly longestBackoffMs: number
}

/** How long one that has failed is left alone: by chance, so that calls which failed together do not come back together. */
export const backoff = (attempts: number, firstMs: number, { random, longestBackoffMs }: Backoff): number =>
  random() * Math.min(longestBackoffMs, firstMs * 2 ** (attempts - 1))
