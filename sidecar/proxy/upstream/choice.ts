import type { Plan } from '../plan.ts'
import { near } from './affinity.ts'
import type { Candidate } from './candidate.ts'
import type { Route } from './route.ts'
import { leastBad } from './health/tier.ts'
import type { Standing } from './standing.ts'

/** Used for one choice at a time, and never across an await: choosing is done for every call, and an array that is emptied loses its memory. */
const scratch: Candidate[] = []
const standings: Standing[] = []

/**
 * The upstream for the next attempt: usable, not tried yet, in the lowest tier that has one. One that has failed this call as such is asked
 * with another key only where no other upstream is usable, and so is, with the last attempt, any that has failed it with one.
 */
export function choice(plan: Plan, now: number, isLast = false): Candidate | undefined {
  const elsewhere = plan.tried.length === 0 ? undefined : inTiers(plan, now, isLast ? isNew : isWell)
  return elsewhere ?? inTiers(plan, now, isOpen)
}

type IsIn = (plan: Plan, candidate: Candidate, now: number) => boolean

function inTiers(plan: Plan, now: number, isIn: IsIn): Candidate | undefined {
  for (const tier of plan.route.tiers) {
    const chosen = among(plan, tier, now, isIn)
    if (chosen !== undefined) return chosen
  }
  return undefined
}

/** Whether there would be a choice, for who does not choose yet. */
export function isChoice(plan: Plan, now: number): boolean {
  for (const tier of plan.route.tiers) for (const candidate of tier) if (isOpen(plan, candidate, now)) return true
  return false
}

/** Whether one of those would usually begin a stream within the time that will be left. */
export function isChoiceThen(plan: Plan, now: number, leftMs: number): boolean {
  for (const tier of plan.route.tiers) {
    for (const one of tier) if (isOpen(plan, one, now) && (one.patience.usualMs(plan.model, true) ?? 0) <= leftMs) return true
  }
  return false
}

/** And for one more at one that has failed this call already, in a way that may be over: where there is no other. */
export function choiceAgain(plan: Plan, now: number): Candidate | undefined {
  return plan.repeatable === undefined ? undefined : among(plan, plan.repeatable, now, isProven)
}

/** Whether any of those that a call may go to would usually begin to answer in time, if it were asked then; so where there is none. */
export function isInTime(plan: Plan, then: number): boolean {
  const all = plan.route.tiers.flatMap((tier) => tier.filter((one) => mayBeAsked(plan, one)))
  return all.length === 0 || all.some((one) => isTimely(plan, one, then))
}

function among(plan: Plan, tier: readonly Candidate[], now: number, isIn: IsIn): Candidate | undefined {
  let open = 0
  let roomy = 0
  for (const candidate of tier) {
    if (!isIn(plan, candidate, now)) continue
    scratch[open++] = candidate
    if (candidate.standing.inFlight < candidate.connections) roomy++
  }
  if (open < 2) return open === 0 ? undefined : scratch[0]
  let weighed = 0
  for (let at = 0; at < open; at++) {
    const candidate = scratch[at]
    if (candidate === undefined) continue
    const { standing } = candidate
    // Behind one that is full a call would wait.
    if (roomy > 0 && standing.inFlight >= candidate.connections) continue
    standing.weight = candidate.weight
    standing.ease = standing.easeOf(plan.model, now)
    standings[weighed++] = standing
  }
  if (standings.length > weighed) standings.length = weighed
  const { affinity, route } = plan
  const chosen = affinity === 0 ? route.strategy.choose(standings, plan, now) : near(affinity, standings, route.affinityLoad)
  for (let at = 0; at < open; at++) if (scratch[at]?.standing === chosen) return scratch[at]
  return undefined
}

/** A call that has failed once goes on to one alone that is known to be well: in an outage of all, every further attempt would be in vain. */
function isOpen(plan: Plan, candidate: Candidate, now: number): boolean {
  if (!fits(plan, candidate)) return false
  const { standing } = candidate
  if (plan.tried.length > 0) return isProven(plan, candidate, now)
  return standing.usable(plan.model, now) && isTimely(plan, candidate, now)
}

const isWell: IsIn = (plan, candidate, now) => !plan.ailing.includes(candidate.upstream) && isOpen(plan, candidate, now)

const isNew: IsIn = (plan, candidate, now) =>
  !plan.tried.some(({ upstream }) => upstream === candidate.upstream) && isOpen(plan, candidate, now)

export const isProven = (plan: Plan, candidate: Candidate, now: number): boolean =>
  candidate.standing.proven(plan.model, now) && isTimely(plan, candidate, now)

const isTimely = ({ due, model }: Plan, { patience }: Candidate, now: number): boolean =>
  due === undefined || now + (patience.usualMs(model, due.stream) ?? 0) <= due.atMs

/** One that may be well again: worth an attempt where nothing better is left. */
export const hopeful = (plan: Plan, now: number): Candidate | undefined => hopefulIn(plan.route.tiers, plan, now)

/** And stands behind all that have failed this call. */
export function hopefulSpare(plan: Plan, now: number): Candidate | undefined {
  const { route, tried } = plan
  const last = route.tiers.findLastIndex((tier) => tier.some((one) => tried.includes(one)))
  return hopefulIn(route.tiers.slice(last + 1), plan, now)
}

function hopefulIn(tiers: Plan['route']['tiers'], plan: Plan, now: number): Candidate | undefined {
  for (const tier of tiers) {
    for (const one of tier) if (mayBeAsked(plan, one) && one.standing.sound(plan.model, now) && isTimely(plan, one, now)) return one
  }
  return undefined
}

/** When the first of those that are merely over their limit may be asked; undefined where there is none. */
export function opensAt(plan: Plan, now: number): number | undefined {
  let first: number | undefined
  for (const tier of plan.route.tiers) {
    for (const candidate of tier) {
      const { standing } = candidate
      if (!mayBeAsked(plan, candidate) || standing.state(plan.model, now) !== 'limited') continue
      const until = standing.until(plan.model, now)
      if (until !== undefined && until < (first ?? Infinity)) first = until
    }
  }
  return first
}

/** Where a call goes when nothing is usable: it may be we who are mistaken. Undefined where no upstream has the model, or every key was refused. */
export function inNeed(plan: Plan, now: number): Candidate | undefined {
  // What it has to say is that it lacks the time or the money: the client may wait for it, and nothing else would help.
  if (plan.home !== undefined) return undefined
  const all = those(plan).filter((one) => isTimely(plan, one, now))
  // Nobody could answer in its place, and its own answer tells more than ours.
  if (all.length === 1) return all[0]
  const asked = all.map((candidate) => candidate.standing.asked(plan.model))
  const least = leastBad(asked, now)
  return least === undefined ? undefined : all[asked.indexOf(least)]
}

/** All that a call may go to, whatever their state. */
export const those = (plan: Plan): Candidate[] => plan.route.tiers.flatMap((tier) => tier.filter((candidate) => fits(plan, candidate)))

/** A weight of nothing is for those who ask for it. */
const fits = ({ only, home, model, tried, unreachable, route }: Plan, candidate: Candidate): boolean =>
  (home !== undefined ? candidate === home.candidate : only === undefined ? isWeighty(route, candidate) : candidate.upstream === only) &&
  candidate.serves(model) &&
  !tried.includes(candidate) &&
  !unreachable.includes(candidate.upstream)

const mayBeAsked = (plan: Plan, candidate: Candidate): boolean => fits(plan, candidate) || plan.repeatable?.includes(candidate) === true

export const isWeighty = ({ onTrial }: Route, candidate: Candidate): boolean => candidate.weight > 0 || onTrial?.has(candidate) === true
