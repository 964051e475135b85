import { shareOf, unobserved, weighty, type Candidate, type Strategy } from './strategy.ts'

/** At random, by weight: many sidecars that know nothing of each other do not fall into step. */
export function weighted(random: () => number): Strategy {
  return { choose: (candidates) => draw(weighty(candidates), random), observe: unobserved }
}

/** One of the candidates at random, by weight; never `without`, where there is another. */
export function draw(candidates: readonly Candidate[], random: () => number, without?: Candidate): Candidate | undefined {
  let all = 0
  for (const candidate of candidates) if (candidate !== without) all += shareOf(candidate)
  let left = random() * all
  let last: Candidate | undefined
  for (const candidate of candidates) {
    if (candidate === without) continue
    last = candidate
    left -= shareOf(candidate)
    if (left < 0) return candidate
  }
  return last ?? without
}
