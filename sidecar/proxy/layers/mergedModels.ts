import { localReply, type Call, type Handler, type Layer, type Reply } from '../call.ts'
import type { Clock } from '../clock.ts'
import { asSidecarError, SidecarError } from '../errors.ts'
import { closeAttempt, handOver, newFacts, type Facts } from '../facts.ts'
import { ask, freshMs, keptUnder, keyOf, mostKeys, newEntry, patienceMs, quietMs, type Answer, type Entry } from '../keptList.ts'
import { offCancel, onCancel } from '../life.ts'
import { mergedLists, modelList, type MergedList, type ModelList } from '../llm/modelList.ts'
import { asksForList, isDown, served, type Cached, type ModelsOptions } from './models.ts'

/** An upstream as far as its list of models goes. */
export interface Source {
  readonly name: string
  /** False while no call may go there. */
  readonly isAsked: () => boolean
  /** What it has said, over all configs. */
  readonly entries: Map<string, Entry>
  /** What clients can ask for to get the model that it calls so. */
  readonly namesOf: (id: string) => readonly string[]
}

export interface ListOptions {
  /** In the order in which they describe a model that several have. */
  readonly sources: readonly Source[]
  readonly aliases: Readonly<Record<string, string>>
}

export interface MergedModelsOptions extends Pick<ModelsOptions, 'clock' | 'totalMs'>, ListOptions {
  /** The way to the upstream that a call wishes for. */
  readonly ask: Handler
}

interface Part {
  readonly source: Source
  readonly entry: Entry
  /** What is in the last good list; read once. */
  read: { readonly of: Answer; readonly list: ModelList } | undefined
  /** Why there is no newer one. */
  failure: SidecarError | Answer | undefined
}

interface Shelf {
  readonly parts: readonly Part[]
  /** The list made of these. */
  merged: { readonly of: readonly Answer[]; readonly list: MergedList } | undefined
}

/** Longer than connecting may take, so that an upstream that cannot be reached says why. */
const longestMs = 15_000

/**
 * The models of all upstreams in one list, by the names that clients can ask for. Each upstream is asked with its own key, all at once, and
 * each list is kept for five minutes by itself: one that is down leaves its old list, or a gap that the answer names.
 */
export function mergedModels(options: MergedModelsOptions): Layer {
  const shelves = new Map<string, Shelf>()
  const most = Math.max(2, Math.floor(mostKeys / options.sources.length))
  const newShelf = (key: string): Shelf => ({
    parts: options.sources.map((source) => ({
      source,
      // Apart from what passed as it came while there was one upstream: that need not be a list.
      entry: keptUnder(source.entries, `merged ${key}`, newEntry, most),
      read: undefined,
      failure: undefined,
    })),
    merged: undefined,
  })
  const listFor = (call: Call): Promise<Listed> => {
    const whole = { ...call, path: wholeList(call) }
    const key = keyOf(whole)
    return lookUp(
      whole,
      keptUnder(shelves, key, () => newShelf(key), most),
      options,
    )
  }
  return (next) => async (call) => {
    // Who asks for one upstream gets the list of that one, as it is.
    if (call.wishes.upstream !== '') return next(call)
    if (asksForList(call)) {
      const { list, parts, reply } = await listFor(call)
      return list === undefined ? noList(parts) : reply(list.body)
    }
    const name = nameIn(call)
    if (name === undefined) return next(call)
    // A name of ours is nobody else's; of any other the upstreams may know more than their lists say.
    const { list, reply } = await listFor({ ...call, path: '/models' })
    const model = list?.byName.get(name)
    return model === undefined ? next(call) : reply(Buffer.from(JSON.stringify(model)))
  }
}

interface Listed {
  readonly parts: readonly Part[]
  /** Undefined where nobody gave one. */
  readonly list: MergedList | undefined
  readonly reply: (body: Buffer) => Reply
}

/** The model that a call asks about by its name, which may hold slashes. */
function nameIn({ method, path, body }: Call): string | undefined {
  if (method !== 'GET' || body !== undefined || path?.startsWith('/models/') !== true) return undefined
  try {
    return decodeURIComponent(path.slice('/models/'.length).replace(/\?.*$/s, ''))
  } catch {
    return undefined
  }
}

/** Pages of several lists do not make pages of one, so all of each is asked for. */
function wholeList({ path = '', headers }: Call): string {
  const [route = '', query = ''] = path.split('?', 2)
  const kept = query.split('&').filter((item) => item !== '' && !/^(?:limit|after_id|before_id)(?:=|$)/.test(item))
  // The most that Anthropic gives at once; others have no pages.
  if (headers.some((name, at) => at % 2 === 0 && name.toLowerCase() === 'anthropic-version')) kept.push('limit=1000')
  return kept.length === 0 ? route : `${route}?${kept.join('&')}`
}

async function lookUp(call: Call, shelf: Shelf, options: MergedModelsOptions): Promise<Listed> {
  const { clock, aliases } = options
  const beganMs = clock.now()
  const parts = shelf.parts.filter(({ source }) => source.isAsked())
  const before = parts.map(({ entry }) => entry.list)
  const inHand = (): boolean => parts.some(({ entry }) => entry.list !== undefined)
  const due = parts.filter(({ entry }) => !isFresh(entry, beganMs) && !(beganMs < entry.quietMs && inHand()))
  if (due.length > 0) await renew(call, due, inHand, options)
  const there = parts.filter(({ entry }) => entry.list !== undefined)
  const lists = there.flatMap(({ entry }) => entry.list ?? [])
  if (shelf.merged === undefined || !isSame(shelf.merged.of, lists)) {
    const shown = there.map((part) => ({ list: listOf(part), namesOf: part.source.namesOf }))
    shelf.merged = { of: lists, list: mergedLists(shown, aliases) }
  }
  const { list } = shelf.merged
  const now = clock.now()
  const ageMs = Math.max(...there.map(({ entry }) => now - entry.listedMs))
  const isNew = parts.some(({ entry }, at) => entry.list !== before[at])
  const cached: Cached = there.some(({ entry }) => !isFresh(entry, now)) ? 'stale' : isNew ? 'miss' : 'hit'
  const missing = parts.flatMap((part) => (part.entry.list === undefined || listOf(part).cut ? [part.source.name] : []))
  return { parts, list: there.length === 0 ? undefined : list, reply: (body) => replyWith(body, { cached, ageMs, missing }) }
}

interface About {
  readonly cached: Cached
  readonly ageMs: number
  readonly missing: readonly string[]
}

function replyWith(body: Buffer, { cached, ageMs, missing }: About): Reply {
  const reply = served({ status: 200, headers: { 'content-type': 'application/json' }, body }, cached, ageMs)
  if (missing.length === 0) return reply
  // By then those that are missing are asked again.
  reply.headers['cache-control'] = `public, max-age=${quietMs / 1_000}`
  return { ...reply, own: [...(reply.own ?? []), 'x-outrider-missing', missing.join(', ')] }
}

const isFresh = ({ list, listedMs }: Entry, now: number): boolean => list !== undefined && now - listedMs < freshMs
const isSame = (one: readonly Answer[], other: readonly Answer[]): boolean =>
  one.length === other.length && one.every((list, at) => list === other[at])

/** Asks whoever is not being asked already, and waits: for all of them, but not for long where there is something to show. */
async function renew(call: Call, due: readonly Part[], inHand: () => boolean, options: MergedModelsOptions): Promise<void> {
  const { clock } = options
  const begun = due.flatMap((part) => (part.entry.asking === undefined ? [{ part, facts: begin(call, part, options) }] : []))
  handOver(call.facts, clock.now())
  try {
    await gathered(
      call,
      due.flatMap(({ entry }) => entry.asking ?? []),
      inHand,
      clock,
    )
  } finally {
    call.facts.oursMs = clock.now()
    const over = begun.filter(({ part }) => part.entry.asking === undefined)
    tell(
      call.facts,
      over.map(({ facts }) => facts),
    )
  }
  // Whoever takes longer than that is not waited for by the next call too.
  for (const { entry } of due) if (entry.asking !== undefined) entry.quietMs = clock.now() + quietMs
}

/** What the attempts were is told of the call that had them made. */
function tell(facts: Facts, asked: readonly Facts[]): void {
  const reached = asked.filter(({ attempts }) => attempts > 0)
  if (reached.length === 0) return
  for (const one of reached) {
    closeAttempt(one)
    facts.attempts += one.attempts
    facts.tried = [...(facts.tried ?? []), ...(one.tried ?? [])]
  }
  facts.upstream = reached.map(({ upstream }) => upstream).join(', ')
}

function begin(call: Call, part: Part, { clock, totalMs, ask: next }: MergedModelsOptions): Facts {
  const { entry, source } = part
  const facts: Facts = { ...newFacts(clock.now(), call.facts.trace), operation: 'models', client: call.facts.client }
  const asked = { ...call, facts, wishes: { ...call.wishes, upstream: source.name, model: '' } }
  const isList = ({ status, body }: Answer): boolean => status === 200 && modelList(body) !== undefined
  entry.asking = ask(asked, next, entry, { clock, boundMs: Math.min(totalMs, longestMs), isList })
  entry.asking.then(
    (answer) => {
      part.failure = answer ?? new SidecarError('bad_reply', 'its list of models is too long')
    },
    (thrown: unknown) => {
      part.failure = asSidecarError(thrown)
    },
  )
  return facts
}

function gathered(call: Call, askings: readonly Promise<unknown>[], inHand: () => boolean, clock: Clock): Promise<void> {
  return new Promise((give, refuse) => {
    let open = askings.length
    let late = false
    const leave = (reason: SidecarError): void => {
      clock.clear(alarm)
      refuse(reason)
    }
    const look = (): void => {
      if (open > 0 && !(late && inHand())) return
      clock.clear(alarm)
      offCancel(call.life, leave)
      give()
    }
    const alarm = clock.set(patienceMs, () => {
      late = true
      look()
    })
    onCancel(call.life, leave)
    const settled = (): void => {
      open--
      look()
    }
    for (const asking of askings) asking.then(settled, settled)
  })
}

function listOf(part: Part): ModelList {
  const { list } = part.entry
  if (list === undefined) return nothing
  if (part.read?.of !== list) part.read = { of: list, list: modelList(list.body) ?? nothing }
  return part.read.list
}

const nothing: ModelList = { models: [], paged: false, cut: false }

/** Where nobody gave a list: what all of them say alike is the client's to read, and else each of them is named. */
function noList(parts: readonly Part[]): Reply {
  const failures = parts.flatMap(({ failure }) => failure ?? [])
  const defect = failures.find((failure) => failure instanceof SidecarError && failure.kind === 'internal')
  if (defect instanceof SidecarError) throw defect
  const [first] = failures
  if (first !== undefined && !(first instanceof SidecarError) && !isDown(first.status) && first.status !== 200) {
    const { status, headers, body } = first
    if (failures.every((failure) => 'status' in failure && failure.status === status)) return localReply(status, { ...headers }, body)
  }
  const upstreams = parts.map(({ source, failure }) => ({
    name: source.name,
    why: whyOf(failure),
    what: failure instanceof SidecarError ? failure.message : undefined,
  }))
  const each = upstreams.map(({ name, why, what }) => `${name}: ${why}${what === undefined ? '' : ` (${what})`}`).join('; ')
  throw new SidecarError('no_upstream', `No upstream gives a list of models${each === '' ? '' : `: ${each}`}`, {
    details: { upstreams },
    quotes: failures.some((failure) => failure instanceof SidecarError && failure.quotes),
  })
}

function whyOf(failure: Part['failure']): string {
  if (failure === undefined) return 'not asked'
  if (failure instanceof SidecarError) return failure.kind
  return failure.status === 200 ? 'status 200, with something else' : `status ${failure.status}`
}
