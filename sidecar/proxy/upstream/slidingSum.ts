/** How much was added within the last while, give or take a slot. */
export interface SlidingSum {
  readonly add: (amount: number, now: number) => void
  readonly sum: (now: number) => number
  readonly clear: () => void
}

/** The while in so many slots: one goes at a time, and nothing needs a timer. */
export function slidingSum(windowMs: number, slots = 12): SlidingSum {
  const amounts: number[] = Array.from({ length: slots }, () => 0)
  const slotMs = windowMs / slots
  let current = -Infinity
  let total = 0
  const clear = (): void => {
    amounts.fill(0)
    total = 0
  }
  const turnTo = (now: number): number => {
    const slot = Math.floor(now / slotMs)
    if (slot > current) {
      if (slot - current >= slots) clear()
      else
        for (let gone = current + 1; gone <= slot; gone++) {
          total -= amounts[gone % slots] ?? 0
          amounts[gone % slots] = 0
        }
      current = slot
    }
    return ((current % slots) + slots) % slots
  }
  return {
    add: (amount, now) => {
      const slot = turnTo(now)
      amounts[slot] = (amounts[slot] ?? 0) + amount
      total += amount
    },
    sum: (now) => {
      turnTo(now)
      return total
    },
    clear,
  }
}
