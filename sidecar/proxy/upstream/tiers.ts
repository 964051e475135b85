import type { Candidate } from './candidate.ts'

/** The lowest first. */
export function tiersOf(candidates: readonly Candidate[]): Candidate[][] {
  const tiers = [...new Set(candidates.map(({ tier }) => tier))].toSorted((one, other) => one - other)
  return tiers.map((tier) => candidates.filter((candidate) => candidate.tier === tier))
}
