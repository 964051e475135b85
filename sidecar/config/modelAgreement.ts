import type { Path } from './document.ts'
import { isMapping } from './mapping.ts'
import { modelMatcher } from './modelPattern.ts'
import { nearest } from './nearest.ts'
import { longestName, showable } from './showable.ts'

interface Caution {
  readonly path: Path
  readonly message: string
}

type Fields = Readonly<Record<string, unknown>>

/** What is said of models that is hardly meant so, and is taken all the same. Reads the document as it was written. */
export function modelCautions(root: Fields): Caution[] {
  return [...aliasesOfAliases(root), ...routesNeverReached(root), ...modelsOfNobody(root)]
}

/** It may be meant: a true model may have the name of an alias. */
function aliasesOfAliases(root: Fields): Caution[] {
  const aliases = fields(fields(root['routing'])['aliases'])
  const message = 'leads to an alias, and only the name that a client gives is looked up there: upstreams are asked for this very name'
  return asked(root).flatMap(({ path, model }) => (typeof model === 'string' && Object.hasOwn(aliases, model) ? [{ path, message }] : []))
}

function routesNeverReached(root: Fields): Caution[] {
  const before: string[] = []
  return items(root['routes']).flatMap((route, at) => {
    const models = textsIn(route['models'])
    const isTaken = modelMatcher(before)
    const isReached = models.length === 0 || models.some((model) => !isTaken(model))
    before.push(...models)
    return isReached ? [] : [{ path: ['routes', at, 'models'], message: 'are all taken by routes before it: the first that fits counts' }]
  })
}

/** Where every upstream says which models it has, one that nobody has is a slip. */
function modelsOfNobody(root: Fields): Caution[] {
  const upstreams = items(root['upstreams'])
  const lists = upstreams.map(({ models }) => models)
  if (lists.length === 0 || !lists.every(Array.isArray)) return []
  const served = lists.flatMap(textsIn)
  const isServed = modelMatcher(served)
  const { defaultModel, aliases } = fields(root['routing'])
  // The one place but a call itself whose name may be an alias; that is looked at where it stands.
  const isAlias = typeof defaultModel === 'string' && Object.hasOwn(fields(aliases), defaultModel)
  const places = isAlias ? asked(root) : [...asked(root), { path: ['routing', 'defaultModel'], model: defaultModel }]
  const known = served.filter((name) => !name.includes('*') && showable(name, longestName)).slice(0, mostCompared)
  return places.flatMap(({ path, model }, at) => {
    if (typeof model !== 'string' || isServed(model)) return []
    const near = at < mostProposed ? nearest(model, known) : undefined
    const proposal = near === undefined ? '' : `; did you mean "${near}"?`
    return [{ path, message: `is in the models of no upstream: calls for it find none${proposal}` }]
  })
}

/** A config of nothing but models must not cost seconds: each place is compared with each of them. */
const [mostProposed, mostCompared] = [100, 1_000]

interface Asked {
  readonly path: Path
  readonly model: unknown
}

/** Every place that sends calls to a model by its true name. */
function asked(root: Fields): Asked[] {
  const { aliases, priority, fallbacks } = fields(root['routing'])
  return [
    ...byName(['routing', 'aliases'], aliases),
    ...byName(['routing', 'priority', 'models'], fields(priority)['models']),
    ...chain(['routing', 'fallbacks'], fallbacks),
    ...items(root['routes']).flatMap((route, at) => [
      ...chain(['routes', at, 'fallbacks'], route['fallbacks']),
      { path: ['routes', at, 'canary', 'model'], model: fields(route['canary'])['model'] },
    ]),
  ]
}

const byName = (path: Path, models: unknown): Asked[] =>
  Object.entries(fields(models)).map(([name, model]) => ({ path: [...path, name], model }))

const chain = (path: Path, list: unknown): Asked[] => items(list).map(({ model }, at) => ({ path: [...path, at, 'model'], model }))

const fields = (value: unknown): Fields => (isMapping(value) ? value : {})

const items = (value: unknown): Fields[] => (Array.isArray(value) ? value.map(fields) : [])

const textsIn = (list: unknown): string[] => (Array.isArray(list) ? list.filter((item) => typeof item === 'string') : [])
