import type { Candidate, Strategy } from '../../../sidecar/proxy/upstream/strategies/strategy.ts'

/** With the counts as its owner would keep them. */
export interface Counted extends Candidate {
  weight: number
  inFlight: number
  outstandingTokens: number
  ease: number
}

export const candidate = (name: string, facts: Partial<Counted> = {}): Counted => ({
  weight: 1,
  inFlight: 0,
  outstandingTokens: 0,
  ease: 1,
  ...facts,
  name,
})

/** Random numbers that are the same in every run. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** How often each is chosen. */
export function counts(strategy: Strategy, candidates: readonly Candidate[], times: number): Map<string, number> {
  const seen = new Map<string, number>()
  for (let n = 0; n < times; n++) {
    const name = strategy.choose(candidates, { model: 'm', tokens: 1_000 }, 0)?.name ?? ''
    seen.set(name, (seen.get(name) ?? 0) + 1)
  }
  return seen
}
