import * as v from 'valibot'
import { answered, CanaryTrouble } from './askControl.ts'

const rate = v.object({ calls: v.number(), failed: v.number(), refused: v.number(), error_rate: v.nullable(v.number()) })
const total = v.object({ good: v.number(), failed: v.number(), refused: v.number() })
const canary = v.object({
  version: v.number(),
  weights: v.object({ stable: v.number(), canary: v.number() }),
  state: v.picklist(['running', 'rolled_back', 'promoted']),
  why: v.string(),
  since: v.string(),
  configured_weight: v.number(),
  upstreams: v.nullable(v.array(v.string())),
  model: v.nullable(v.string()),
  rollbacks: v.number(),
  rule: v.object({ window_seconds: v.number() }),
  in_window: v.object({ stable: rate, canary: rate }),
  since_start: v.object({ stable: total, canary: total }),
})
const route = v.object({ name: v.string(), canary: v.nullable(canary) })

/** A canary as the control port tells of it. */
export type SeenCanary = v.InferOutput<typeof canary>

export interface Seen {
  readonly name: string
  readonly canary: SeenCanary
  readonly etag: string
}

const unknown = (): CanaryTrouble => new CanaryTrouble('The control port answers, but not as Outrider of this version does.')

export async function seenRoute(control: URL, name: string): Promise<Seen> {
  const { json, etag } = await answered({ control, path: `/${encodeURIComponent(name)}` })
  const found = v.safeParse(route, json)
  if (!found.success) throw unknown()
  const { canary: seen } = found.output
  if (seen === null) throw new CanaryTrouble(`The route ${name} has no canary.`)
  return { name, canary: seen, etag }
}

/** The names of all routes that have one. */
export async function routesWithCanary(control: URL): Promise<string[]> {
  const { json } = await answered({ control, path: '' })
  const found = v.safeParse(v.object({ routes: v.array(route) }), json)
  if (!found.success) throw unknown()
  return found.output.routes.flatMap((one) => (one.canary === null ? [] : [one.name]))
}

/** The one that is meant where no name is given. */
export async function theRoute(control: URL): Promise<string> {
  const names = await routesWithCanary(control)
  const [name] = names
  if (name === undefined) throw new CanaryTrouble('No route of this process has a canary.')
  if (names.length > 1) throw new CanaryTrouble(`Several routes have a canary: name one with --route (${names.join(', ')}).`)
  return name
}
