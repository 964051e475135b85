/** A label value longer than this is nobody's name for a model. */
const longest = 128

/**
 * Remembers one record for each of the first `limit` names and gives all other names the record of `other`: a label that clients choose
 * must not grow without end. A name that somebody has vouched for takes no place from the others, and loses none to them.
 */
export function bounded<Item>(
  limit: number,
  other: string,
  make: (name: string) => Item,
  isVouchedFor: (name: string) => boolean = () => false,
): (name: string) => Item {
  const known = new Map<string, Item>()
  let strangers = 0
  let rest: Item | undefined
  const learn = (name: string): Item => {
    // Half a surrogate pair becomes a replacement sign on its way out: two names that differ only there would be one series twice.
    const label = name.toWellFormed()
    const seen = known.get(label)
    if (seen !== undefined) return seen
    const isStranger = !isVouchedFor(label)
    if (name === other || (isStranger && (strangers >= limit || name.length > longest))) return (rest ??= make(other))
    if (isStranger) strangers++
    const item = make(label)
    known.set(label, item)
    return item
  }
  return (name) => known.get(name) ?? learn(name)
}
