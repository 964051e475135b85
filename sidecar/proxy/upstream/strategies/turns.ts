import type { Candidate } from './strategy.ts'

/**
 * Smooth weighted turns: of weights 5, 1 and 1 the first comes five times in seven, but never five times in a row. Everyone earns their
 * share at every turn, and the one who has most pays for the turn.
 */
export function turns(shareOf: (candidate: Candidate) => number): (candidates: readonly Candidate[]) => Candidate | undefined {
  const earned = new WeakMap<Candidate, { sum: number }>()
  return (candidates) => {
    if (candidates.length < 2) return candidates[0]
    let all = 0
    let chosen: Candidate | undefined
    let most = { sum: -Infinity }
    for (const candidate of candidates) {
      const share = shareOf(candidate)
      let account = earned.get(candidate)
      if (account === undefined) earned.set(candidate, (account = { sum: 0 }))
      account.sum += share
      all += share
      if (account.sum > most.sum) {
        most = account
        chosen = candidate
      }
    }
    most.sum -= all
    return chosen ?? candidates[0]
  }
}
