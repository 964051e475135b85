import type { Path } from './document.ts'
import { isMapping } from './mapping.ts'
import { modelMatcher } from './modelPattern.ts'
import { defaultTriggers } from './routingSettings.ts'

interface Caution {
  readonly path: Path
  readonly message: string
}

type Fields = Readonly<Record<string, unknown>>

/** A chain of models, and the models whose calls it is for; undefined where these can be any. */
interface Chain {
  readonly path: Path
  readonly entries: readonly Fields[]
  readonly models: readonly string[] | undefined
}

/** Fallbacks that can help no call. Reads the document as it was written. */
export function fallbackCautions(root: Fields): Caution[] {
  return chainsIn(root).flatMap((chain) => [...toItself(chain), ...comesAgain(chain)])
}

function toItself({ path, entries, models }: Chain): Caution[] {
  if (models === undefined || models.length === 0) return []
  const message = 'is the only model that these fallbacks are for: name another, for one that fails is not asked in its own place'
  return entries.flatMap(({ model }, at) => (models.every((one) => one === model) ? [{ path: [...path, at, 'model'], message }] : []))
}

/** An entry for other triggers is another matter. */
function comesAgain({ path, entries }: Chain): Caution[] {
  const message = 'stands earlier in this list for the same triggers: by then it has failed the call; name another, or leave it out'
  return entries.flatMap(({ model, on }, at) => {
    const before = entries.slice(0, at).filter((one) => one['model'] === model)
    const covered = new Set(before.flatMap((one) => triggersOf(one['on'])))
    return typeof model === 'string' && before.length > 0 && triggersOf(on).every((one) => covered.has(one))
      ? [{ path: [...path, at, 'model'], message }]
      : []
  })
}

function chainsIn(root: Fields): Chain[] {
  const routes = items(root['routes'])
  const matchers = routes.map((route) => modelMatcher(textsIn(route['models'])))
  const all = literals(items(root['upstreams']).map(({ models }) => models))
  const routeOf = (model: string): number => matchers.findIndex((isFor) => isFor(model))
  const own = routes.map(({ models, canary, fallbacks }, at): Chain => {
    // With another model on trial there are two that a call of this route may be for.
    const isOpen = isMapping(canary) && canary['model'] !== undefined
    const written = literals([models])
    const known = all?.filter((model) => routeOf(model) === at) ?? written
    return { path: ['routes', at, 'fallbacks'], entries: items(fallbacks), models: isOpen ? undefined : known }
  })
  const rest = all?.filter((model) => routes[routeOf(model)]?.['fallbacks'] === undefined)
  const common = isMapping(root['routing']) ? items(root['routing']['fallbacks']) : []
  return [{ path: ['routing', 'fallbacks'], entries: common, models: rest }, ...own]
}

/** Undefined where one of the lists is missing, or says more than names. */
function literals(lists: readonly unknown[]): string[] | undefined {
  if (lists.length === 0 || !lists.every(Array.isArray)) return undefined
  const names = lists.flatMap(textsIn)
  return names.some((name) => name.includes('*')) ? undefined : names
}

const triggersOf = (on: unknown): readonly unknown[] => (Array.isArray(on) ? on : defaultTriggers)

const items = (value: unknown): Fields[] => (Array.isArray(value) ? value.map((item: unknown) => (isMapping(item) ? item : {})) : [])

const textsIn = (list: unknown): string[] => (Array.isArray(list) ? list.filter((item) => typeof item === 'string') : [])
