import { fingerprint } from '../llm/fingerprint.ts'

/** One upstream as affinity sees it. */
export interface Member {
  readonly name: string
  readonly weight: number
  /** From 0 to 1: one that has just come back gets its keys back little by little, and nobody else's. */
  readonly ease: number
  readonly inFlight: number
}

/**
 * The member that has this key: the same in every sidecar, and when one comes or goes only its own keys move. By weight, each draws a number
 * from the key, and the best draw wins.
 *
 * One that carries more than `load` times its share is passed over: a key that everybody uses, such as that of one great prompt, does not put
 * everybody on one upstream. All members are usable; undefined where there is none.
 */
export function near<One extends Member>(key: number, members: readonly One[], load: number): One | undefined {
  let calls = 1
  let weights = 0
  for (const { inFlight, weight } of members) {
    calls += inFlight
    weights += weight
  }
  let first = members[0]
  let roomy: One | undefined
  let least = Infinity
  let leastRoomy = Infinity
  for (const member of members) {
    const draw = drawOf(member, key)
    if (draw < least) {
      first = member
      least = draw
    }
    // Rounded up, or a sidecar with two calls in flight would have no affinity at all.
    if (draw < leastRoomy && member.inFlight < Math.ceil((load * calls * member.weight) / weights)) {
      roomy = member
      leastRoomy = draw
    }
  }
  return roomy ?? first
}

/** Exponential with the weight as its rate: the chance to be the smallest is the share of the weight. */
function drawOf({ name, weight, ease }: Member, key: number): number {
  const share = weight * ease
  return share > 0 ? -Math.log((fingerprint(name, key) + 1) / (2 ** 32 + 1)) / share : Infinity
}
