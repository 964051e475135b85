import { shareOf, unobserved, weighty, type Candidate, type Strategy } from './strategy.ts'
import { turns } from './turns.ts'

export const leastConnections = (): Strategy => least(({ inFlight }) => inFlight)

/** A call of 200 000 tokens is not one of 50. */
export const leastTokens = (): Strategy => least(({ outstandingTokens }) => outstandingTokens)

/** The one with the least of something for its share; those that are level, as all are while little is going on, take turns by weight. */
function least(loadOf: (candidate: Candidate) => number): Strategy {
  const takeTurns = turns(shareOf)
  const level: Candidate[] = []
  return {
    choose: (candidates) => {
      let fewest = Infinity
      level.length = 0
      for (const candidate of weighty(candidates)) {
        const each = loadOf(candidate) / shareOf(candidate)
        if (each > fewest) continue
        if (each < fewest) level.length = 0
        fewest = each
        level.push(candidate)
      }
      return takeTurns(level)
    },
    observe: unobserved,
  }
}
