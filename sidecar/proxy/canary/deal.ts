const hand = 100

/**
 * Whether the next call goes to the canary: of each hundred calls exactly its share does, at places drawn by chance. Turns in a fixed order
 * would fall into step with an app whose calls alternate, and chance alone is off by too much where there are few calls.
 */
export function deal(random: () => number): (weight: number) => boolean {
  let current = Number.NaN
  let left = 0
  let canaries = 0
  /** Of a weight with a fraction, what the hand before could not give. */
  let rest = 0
  return (weight) => {
    if (weight !== current) {
      current = weight
      left = 0
      rest = random()
    }
    if (left === 0) {
      left = hand
      canaries = Math.floor(weight + rest)
      rest = weight + rest - canaries
    }
    const isCanary = random() * left < canaries
    left--
    if (isCanary) canaries--
    return isCanary
  }
}
