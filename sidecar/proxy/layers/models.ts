import { localReply, type Call, type Handler, type Layer, type Reply } from '../call.ts'
import type { Clock } from '../clock.ts'
import { asSidecarError, kinds } from '../errors.ts'
import { ask, freshMs, keptUnder, keyOf, newEntry, patienceMs, type Answer, type Entry } from '../keptList.ts'
import { offCancel, onCancel } from '../life.ts'

export interface ModelsOptions {
  readonly clock: Clock
  /** The bound of a call that is no stream. */
  readonly totalMs: number
  /** What the upstream has said, over all configs. */
  readonly entries: Map<string, Entry>
}

export type Cached = 'hit' | 'miss' | 'stale'

/**
 * The upstream's list of models, kept for five minutes: clients ask for it whenever they start, and some with each call. Those who ask at
 * once share one attempt. While the upstream is down the old list is served; the answer says so.
 */
export function models(options: ModelsOptions): Layer {
  return (next) => (call) =>
    asksForList(call) ? listFor(call, next, keptUnder(options.entries, keyOf(call), newEntry), options) : next(call)
}

export const asksForList = ({ facts, method, body }: Call): boolean =>
  facts.operation === 'models' && method === 'GET' && body === undefined

async function listFor(
  call: Call,
  next: Handler,
  entry: Entry,
  { clock, totalMs }: Pick<ModelsOptions, 'clock' | 'totalMs'>,
): Promise<Reply> {
  const now = clock.now()
  const { list } = entry
  if (list !== undefined && now - entry.listedMs < freshMs) return served(list, 'hit', now - entry.listedMs)
  if (list !== undefined && now < entry.quietMs) return served(list, 'stale', now - entry.listedMs)
  entry.asking ??= ask(call, next, entry, { clock, boundMs: list === undefined ? totalMs : Math.min(totalMs, patienceMs), isList })
  try {
    const answer = await waited(call, entry.asking)
    // Too long to be kept: it flows to each who asks.
    if (answer === undefined) return await next(call)
    if (answer === entry.list) return served(answer, 'miss', 0)
    if (list === undefined || !isDown(answer.status)) return { ...localReply(answer.status, answer.headers, answer.body) }
  } catch (thrown) {
    const err = asSidecarError(thrown)
    if (call.life.cancelled !== undefined || list === undefined || kinds[err.kind].fault === 'client' || err.kind === 'internal') throw err
  }
  return served(list, 'stale', clock.now() - entry.listedMs)
}

/** Waits as long as the client does. */
function waited<Value>(call: Call, asking: Promise<Value>): Promise<Value> {
  return new Promise((give, refuse) => {
    onCancel(call.life, refuse)
    asking.then(give, refuse).finally(() => {
      offCancel(call.life, refuse)
    })
  })
}

export function served(list: Answer, cached: Cached, ageMs: number): Reply {
  const age = String(Math.floor(ageMs / 1_000))
  // An age above the most that is allowed says to every cache behind us that the list is an old one.
  const headers = { ...list.headers, 'cache-control': 'public, max-age=300', age }
  return { ...localReply(list.status, headers, list.body), own: ['x-outrider-cache', cached] }
}

/** The page of a proxy on the way, which is an answer too, must not be taken for the list for minutes. */
function isList({ status, body }: Answer): boolean {
  if (status !== 200) return false
  try {
    const value: unknown = JSON.parse(body.toString())
    return typeof value === 'object' && value !== null
  } catch {
    return false
  }
}

export const isDown = (status: number): boolean => status >= 500 || status === 429
