import { fingerprint } from '../llm/fingerprint.ts'

/** One upstream as affinity sees it. */
export interface Member {
  readonly name: string
  readonly weight: number
  readonly inFlight: number
}

/** So much more than its share a member may carry before its keys go to their next one: enough to stay warm, too little to be overrun. */
const mostOfShare = 1.25

/**
 * The members in the order in which they would have this key: the same in every sidecar, and when one comes or goes only its own keys move.
 * By weight, each member draws a number from the key, and the best draw is first.
 */
export function ranked<One extends Member>(key: string, members: readonly One[]): One[] {
  const seed = fingerprint(key)
  const draws = members.map((member) => ({ member, draw: drawOf(member, seed) }))
  return draws.toSorted((one, other) => one.draw - other.draw).map(({ member }) => member)
}

/**
 * The first of that order that still has room: a key that everybody uses, such as that of one great prompt, does not put everybody on one
 * upstream. All members are usable; undefined where there is none.
 */
export function near<One extends Member>(key: string, members: readonly One[]): One | undefined {
  if (members.length < 2) return members[0]
  let calls = 1
  let weights = 0
  for (const { inFlight, weight } of members) {
    calls += inFlight
    weights += weight
  }
  const order = ranked(key, members)
  // Rounded up, or a sidecar with two calls in flight would have no affinity at all.
  const room = ({ weight }: One): number => Math.ceil((mostOfShare * calls * weight) / weights)
  return order.find((member) => member.inFlight < room(member)) ?? order[0]
}

/** Exponential with the weight as its rate: the chance to be the smallest is the share of the weight. */
function drawOf({ name, weight }: Member, seed: number): number {
  if (!(weight > 0)) return Infinity
  return -Math.log((fingerprint(name, seed) + 1) / (2 ** 32 + 1)) / weight
}
