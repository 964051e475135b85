/** Makes what belongs to each key once. */
export function remembered<Key, Item>(make: (key: Key) => Item): (key: Key) => Item {
  const known = new Map<Key, Item>()
  return (key) => {
    const seen = known.get(key)
    if (seen !== undefined) return seen
    const item = make(key)
    known.set(key, item)
    return item
  }
}
