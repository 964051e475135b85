import type { Plan } from '../plan.ts'
import type { Candidate } from './candidate.ts'

/** Used for one choice at a time, and never across an await: choosing is done for every call. */
const scratch: Candidate[] = []

/** The upstream for the next attempt: usable, not tried yet, in the lowest tier that has one. */
export function choice(plan: Plan, now: number): Candidate | undefined {
  for (const tier of plan.route.tiers) {
    const chosen = among(plan, tier, now)
    if (chosen !== undefined) return chosen
  }
  return undefined
}

function among(plan: Plan, tier: readonly Candidate[], now: number): Candidate | undefined {
  scratch.length = 0
  let roomy = 0
  for (const candidate of tier) {
    if (!fits(plan, candidate) || !candidate.standing.usable(plan.model, now)) continue
    scratch.push(candidate)
    if (candidate.standing.inFlight < candidate.connections) roomy++
  }
  if (scratch.length === 0) return undefined
  // Behind one that is full a call would wait.
  if (roomy > 0 && roomy < scratch.length) {
    let kept = 0
    for (const candidate of scratch) if (candidate.standing.inFlight < candidate.connections) scratch[kept++] = candidate
    scratch.length = kept
  }
  return scratch.length === 1 ? scratch[0] : plan.route.strategy.choose(scratch, now)
}

/**
 * Of those that should be left alone, the one that hurts least: the next to be tried again. Undefined where none could help: no upstream has
 * the model, or their keys are refused.
 */
export function leastBad(plan: Plan, now: number): Candidate | undefined {
  let best: Candidate | undefined
  let bestMs = Infinity
  for (const tier of plan.route.tiers) {
    for (const candidate of tier) {
      if (!fits(plan, candidate) || candidate.standing.hopeless(plan.model, now)) continue
      const ms = candidate.standing.untilUsable(plan.model, now)
      if (ms >= bestMs) continue
      best = candidate
      bestMs = ms
    }
  }
  return best
}

/** A weight of nothing is for those who ask for it. */
const fits = ({ only, model, tried }: Plan, candidate: Candidate): boolean =>
  (only === undefined ? candidate.weight > 0 : candidate.upstream === only) && candidate.serves(model) && !tried.includes(candidate)
