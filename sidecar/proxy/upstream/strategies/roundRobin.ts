import { shareOf, unobserved, weighty, type Strategy } from './strategy.ts'
import { turns } from './turns.ts'

export function roundRobin(): Strategy {
  const takeTurns = turns(shareOf)
  return { choose: (candidates) => takeTurns(weighty(candidates)), observe: unobserved }
}
