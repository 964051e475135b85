import type { Config } from '../config/config.ts'

const named = new WeakMap<Config, ReadonlySet<string>>()

/** Every model that a config calls by its name: what clients make up is told apart from these. */
export function namedModels(config: Config): ReadonlySet<string> {
  const known = named.get(config)
  if (known !== undefined) return known
  const names = new Set(namesIn(config).filter((name): name is string => name !== undefined && !name.includes('*')))
  named.set(config, names)
  return names
}

function namesIn({ models = [], upstreams, routing, routes = [] }: Config): (string | undefined)[] {
  const { defaultModel, aliases = {}, priority, fallbacks = [], overrides } = routing
  return [
    ...models.map(({ name }) => name),
    ...upstreams.flatMap(({ models: served = [], modelNames = {} }) => [...served, ...Object.keys(modelNames)]),
    defaultModel,
    ...Object.entries(aliases).flat(),
    ...Object.values(priority?.models ?? {}),
    ...(overrides?.models ?? []),
    ...[...fallbacks, ...routes.flatMap((route) => route.fallbacks ?? [])].map(({ model }) => model),
    ...routes.flatMap((route) => [...route.models, route.canary?.model]),
  ]
}
