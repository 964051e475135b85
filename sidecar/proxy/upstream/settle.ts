import { judge as judgeSide } from '../canary/side.ts'
import type { Clock } from '../clock.ts'
import type { Plan } from '../plan.ts'
import type { Candidate } from './candidate.ts'
import { isWeighty } from './choice.ts'
import { isOfUpstream, type Outcome } from '../llm/outcome.ts'
import type { Outcome as Ending } from './condition.ts'
import type { Health } from './health.ts'
import { mayEject } from './health/tier.ts'

export interface Ended {
  readonly what: string
  /** The same in more words, for the log. */
  readonly why?: string
  /** Undefined where it says nothing of the upstream. */
  readonly condition: Ending | undefined
}

interface Around {
  readonly clock: Clock
  readonly beganMs: number
}

/** Ends the attempt that is under way, and tells all who want to know of it how it came out: `plan.outcome`. */
export function settle(plan: Plan, { what, why, condition }: Ended, { clock, beganMs }: Around): void {
  const { visit, outcome, hintMs } = plan
  if (visit === undefined) return
  plan.visit = undefined
  const now = clock.now()
  const { standing } = visit
  if (plan.side !== undefined) judgeSide(plan.side, plan, standing)
  const good = outcome === 'good'
  const candidate = good ? undefined : plan.tried.findLast((one) => one.standing === standing)
  if (candidate !== undefined && isOfUpstream(outcome)) plan.ailing = [...plan.ailing, candidate.upstream]
  standing.ended(visit, { outcome, what, why, hintMs, now, mayEject: candidate && judge(plan, candidate, now) })
  if (condition !== undefined) standing.condition.note(condition, what, now)
  if (good || outcome === 'committed') return
  if (outcome === 'client_abort') plan.route.strategy.observe(standing, { kind: 'abandoned', waitedMs: now - beganMs }, now, visit.model)
  else if (!aboutTheCall.has(outcome)) {
    plan.route.strategy.observe(standing, { kind: 'failed', hintMs }, now, visit.model)
  }
}

/** These say nothing of the upstream. */
const aboutTheCall: ReadonlySet<Outcome> = new Set(['client', 'unsupported', 'context', 'policy', 'busy', 'sidecar', 'asked', 'unwell'])

/** Whether the others of its tier, or those below, can do without one; with a host go all of its accounts. */
function judge(plan: Plan, candidate: Candidate, now: number): (one: Health, wholeHost: boolean) => boolean {
  return (one, wholeHost) => {
    const { model, route } = plan
    const own = (other: Candidate): boolean => (wholeHost ? other.upstream === candidate.upstream : other === candidate)
    const others = (tier: readonly Candidate[]): Candidate[] =>
      tier.filter((other) => !own(other) && isWeighty(route, other) && other.serves(model))
    const at = route.tiers.findIndex((tier) => tier.includes(candidate))
    // Another model at the same host helps against what is wrong with this one alone.
    const other = !wholeHost && route.fallbacks.some(({ on }) => on.includes('error'))
    const lower = route.tiers.slice(at + 1).some((tier) => others(tier).some(({ standing }) => standing.usable(model, now)))
    return mayEject(
      one,
      [one, ...others(route.tiers[at] ?? []).map(({ standing }) => standing.asked(model))],
      lower || other ? Infinity : route.mostEjected,
      now,
    )
  }
}
