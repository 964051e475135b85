/** The name that was probably meant: at most one slip in three letters away, not every letter of it, and nearer than the others. */
export function nearest(written: string, names: readonly string[]): string | undefined {
  const wanted = written.toLowerCase()
  const [best] = names
    .map((name) => ({ name, slips: distance(wanted, name.toLowerCase()) }))
    .filter(({ name, slips }) => slips < name.length && slips <= Math.max(1, Math.floor(name.length / 3)))
    .toSorted((one, other) => one.slips - other.slips)
  return best?.name
}

/** Letters to add, drop, change or swap with their neighbour to get from one word to the other. */
function distance(from: string, to: string): number {
  // No name is this long; a pasted novel must not cost a minute.
  if (Math.abs(from.length - to.length) > 32) return Number.POSITIVE_INFINITY
  let before: number[] = []
  let above = Array.from({ length: to.length + 1 }, (_, column) => column)
  for (let row = 1; row <= from.length; row++) {
    const current = [row]
    for (let column = 1; column <= to.length; column++) {
      const changed = from[row - 1] === to[column - 1] ? 0 : 1
      const swapped = row > 1 && column > 1 && from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1]
      current.push(
        Math.min(
          (above[column] ?? 0) + 1,
          (current[column - 1] ?? 0) + 1,
          (above[column - 1] ?? 0) + changed,
          swapped ? (before[column - 2] ?? 0) + 1 : Number.POSITIVE_INFINITY,
        ),
      )
    }
    before = above
    above = current
  }
  return above[to.length] ?? 0
}
