/** One model, as its provider describes it. */
export type ListedModel = Readonly<Record<string, unknown>> & { readonly id: string }

export interface ModelList {
  readonly models: readonly ListedModel[]
  /** Comes in pages, as Anthropic's clients expect it. */
  readonly paged: boolean
  /** This is not the last of its pages. */
  readonly cut: boolean
}

/** The list of one upstream, and the names under which clients can ask it for a model; none where they cannot. */
export interface Shown {
  readonly list: ModelList
  readonly namesOf: (id: string) => readonly string[]
}

/** Reads the lists of OpenAI, Anthropic and servers like them, of which a few send no object around it; undefined where it is none. */
export function modelList(body: Buffer): ModelList | undefined {
  let value: unknown
  try {
    value = JSON.parse(body.toString())
  } catch {
    return undefined
  }
  const list = Array.isArray(value) ? value : record(value)?.['data']
  if (!Array.isArray(list)) return undefined
  const more = record(value)?.['has_more']
  return { models: list.filter(isModel), paged: more !== undefined, cut: more === true }
}

export interface MergedList {
  readonly body: Buffer
  readonly byName: ReadonlyMap<string, ListedModel>
}

/** One list of them all, each name once: of several that have a model, the first one describes it. */
export function mergedLists(shown: readonly Shown[], aliases: Readonly<Record<string, string>>): MergedList {
  const all = new Map<string, ListedModel>()
  const add = (name: string, model: ListedModel): void => {
    if (!all.has(name)) all.set(name, name === model.id ? model : { ...model, id: name })
  }
  for (const { list, namesOf } of shown) {
    for (const model of list.models) for (const name of namesOf(model.id)) add(name, model)
  }
  for (const [alias, target] of Object.entries(aliases)) {
    const model = all.get(target)
    if (model !== undefined) add(alias, model)
  }
  const data = [...all.values()]
  // There is no next page of it, whatever page was asked for.
  const pages = shown.some(({ list }) => list.paged) && {
    has_more: false,
    first_id: data[0]?.id ?? null,
    last_id: data.at(-1)?.id ?? null,
  }
  return { body: Buffer.from(JSON.stringify({ object: 'list', data, ...pages })), byName: all }
}

const record = (value: unknown): Readonly<Record<string, unknown>> | undefined =>
  typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : undefined

const isModel = (value: unknown): value is ListedModel => typeof record(value)?.['id'] === 'string'
