import { isUpload, type Call, type Layer } from '../call.ts'
import { SidecarError } from '../errors.ts'
import { headerOf } from '../headers.ts'
import { namesModel } from '../llm/operation.ts'
import type { Trigger } from '../llm/outcome.ts'
import type { Plan } from '../plan.ts'
import type { Fallback, Route } from '../upstream/route.ts'

export interface RouteOptions {
  /** The first that serves a model is taken; the last serves all. */
  readonly routes: readonly Route[]
  readonly defaultModel: string | undefined
  readonly aliases: Readonly<Record<string, string>>
  readonly priority: { readonly header: string; readonly models: Readonly<Record<string, string>> } | undefined
  readonly upstreams: readonly string[]
  readonly mayAskUpstream: (name: string) => boolean
  readonly mayAskModel: (name: string) => boolean
  readonly attempts: number
  /** Of a call that its client repeats by itself. */
  readonly attemptsIfRepeated: number
}

const none: readonly Fallback[] = []
const nowhere: readonly string[] = []
const untold: readonly Trigger[] = []
/** Bytes of a prompt for each token, roughly, over languages and code. */
const bytesPerToken = 4
/** Clients may invent as many models as they like. */
const mostRemembered = 1_000

/** Decides which model a call is for, and where calls for that model may go. */
export function route(options: RouteOptions): Layer {
  const routeOf = remembered((model) => options.routes.find(({ serves }) => serves(model)))
  return (next) => (call) => {
    let model: string
    let only: string | undefined
    try {
      model = modelOf(call, options)
      only = upstreamOf(call, options)
    } catch (err) {
      return Promise.reject(err as SidecarError)
    }
    const found = routeOf(model)
    if (found === undefined) return Promise.reject(new SidecarError('internal', 'no route serves all models'))
    // A client that repeats by itself is not repeated for as often: both together would multiply.
    const attempts = call.wishes.retries > 0 ? options.attemptsIfRepeated : options.attempts
    return next({ ...call, last: found.alone, plan: planFor(call, found, { model, only, attempts }) })
  }
}

interface Decided {
  readonly model: string
  readonly only: string | undefined
  readonly attempts: number
}

function planFor({ body }: Call, found: Route, { model, only, attempts }: Decided): Plan {
  return {
    route: found,
    model,
    only,
    home: undefined,
    affinity: 0,
    tokens: body === undefined ? 0 : Math.ceil((isUpload(body) ? (body.length ?? 0) : body.length) / bytesPerToken),
    mostAttempts: attempts,
    due: undefined,
    tried: [],
    asked: undefined,
    repeatable: undefined,
    side: undefined,
    unreachable: nowhere,
    ailing: nowhere,
    triggers: untold,
    fallbacks: none,
    needs: undefined,
    next: undefined,
    panic: false,
    outcome: 'good',
    again: 'none',
    hintMs: undefined,
    visit: undefined,
    begun: false,
    patienceMs: 0,
    price: 0,
  }
}

/** What the call asks for by header goes before what its body says: the header was set on purpose, the body often by a library. */
function modelOf(call: Call, { defaultModel, aliases, priority, mayAskModel }: RouteOptions): string {
  const { wishes, facts } = call
  if (wishes.model !== '' && !mayAskModel(wishes.model)) {
    throw new SidecarError(
      'bad_request',
      'x-outrider-model asks for a model that routing.overrides.models does not allow: add it there, or leave the header out',
    )
  }
  // What names no model gets none; in what is not kept, none can be put.
  if (isUpload(call.body) || call.body === undefined || !namesModel(facts.operation)) return facts.model
  if (wishes.model !== '') return Object.hasOwn(aliases, wishes.model) ? (aliases[wishes.model] ?? wishes.model) : wishes.model
  if (priority !== undefined) {
    const level = headerOf(call.headers, priority.header)
    const wanted = Object.hasOwn(priority.models, level) ? priority.models[level] : undefined
    if (wanted !== undefined) return wanted
  }
  const named = facts.model === '' ? (defaultModel ?? '') : facts.model
  return Object.hasOwn(aliases, named) ? (aliases[named] ?? named) : named
}

function upstreamOf({ wishes }: Call, { upstreams, mayAskUpstream }: RouteOptions): string | undefined {
  const { upstream } = wishes
  if (upstream === '') return undefined
  if (!mayAskUpstream(upstream)) {
    throw new SidecarError(
      'bad_request',
      'x-outrider-upstream asks for an upstream that routing.overrides.upstreams does not allow: add it there, or leave the header out',
    )
  }
  if (!upstreams.includes(upstream)) throw new SidecarError('bad_request', 'x-outrider-upstream names no upstream')
  return upstream
}

function remembered<Value>(find: (key: string) => Value): (key: string) => Value {
  const known = new Map<string, Value>()
  return (key) => {
    if (known.has(key)) return known.get(key) as Value
    const value = find(key)
    if (known.size < mostRemembered) known.set(key, value)
    return value
  }
}
