export interface Lease<Item> {
  readonly item: Item
  readonly release: () => void
}

export interface Kept<Item> {
  /** The item of this key as it is, or a new one where nobody holds it. One at a time: two who open the same key at once would open two. */
  readonly take: (key: string, open: () => Item | Promise<Item>) => Promise<Lease<Item>>
  readonly all: () => Item[]
}

/** What one config opens and the next goes on with, where both ask for the same; closed when the last who holds it lets go. */
export function kept<Item extends { readonly close: () => void }>(): Kept<Item> {
  const entries = new Map<string, { readonly item: Item; holders: number }>()
  return {
    take: async (key, open) => {
      const entry = entries.get(key) ?? { item: await open(), holders: 0 }
      entries.set(key, entry)
      entry.holders++
      let held = true
      const release = (): void => {
        if (!held) return
        held = false
        entry.holders--
        if (entry.holders > 0) return
        entries.delete(key)
        entry.item.close()
      }
      return { item: entry.item, release }
    },
    all: () => [...entries.values()].map(({ item }) => item),
  }
}
