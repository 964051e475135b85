import { localReply, type Call, type Handler, type Headers, type Layer, type Reply } from '../call.ts'
import type { Clock } from '../clock.ts'
import { asSidecarError, kinds, SidecarError } from '../errors.ts'
import { cancel, finish, newLife, offCancel, onCancel } from '../life.ts'

export interface ModelsOptions {
  readonly clock: Clock
  /** The bound of a call that is no stream. */
  readonly totalMs: number
}

/** What was got: an answer as it came, or nothing where there was too much of it to be kept. */
interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly body: Buffer
}

interface Entry {
  /** The last good list. */
  list: Answer | undefined
  listedMs: number
  /** Until then a list that has grown old is served without asking again. */
  quietMs: number
  asking: Promise<Answer | undefined> | undefined
}

type Cached = 'hit' | 'miss' | 'stale'

const freshMs = 300_000
/** Who has an old list in hand need not wait for the new one as long as who has none. */
const patienceMs = 5_000
/** An upstream that is down is asked again this often, not with every call. */
const quietMs = 10_000
const mostEntries = 16
const mostBytes = 4 * 1024 * 1024

/**
 * The upstream's list of models, kept for five minutes: clients ask for it whenever they start, and some with each call. Those who ask at
 * once share one attempt. While the upstream is down the old list is served; the answer says so.
 */
export function models(options: ModelsOptions): Layer {
  const entries = new Map<string, Entry>()
  return (next) => (call) => {
    if (call.facts.operation !== 'models' || call.method !== 'GET' || call.body !== undefined) return next(call)
    return listFor(call, next, entryFor(entries, keyOf(call)), options)
  }
}

async function listFor(call: Call, next: Handler, entry: Entry, options: ModelsOptions): Promise<Reply> {
  const now = options.clock.now()
  const { list } = entry
  if (list !== undefined && now - entry.listedMs < freshMs) return served(list, 'hit', now - entry.listedMs)
  if (list !== undefined && now < entry.quietMs) return served(list, 'stale', now - entry.listedMs)
  entry.asking ??= ask(call, next, entry, options)
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
  return served(list, 'stale', options.clock.now() - entry.listedMs)
}

/** One attempt for everyone who waits, so with a life of its own: who leaves takes it from nobody. */
function ask(call: Call, next: Handler, entry: Entry, { clock, totalMs }: ModelsOptions): Promise<Answer | undefined> {
  const life = newLife()
  const boundMs = entry.list === undefined ? totalMs : Math.min(totalMs, patienceMs)
  const alarm = clock.set(boundMs, () => {
    cancel(life, new SidecarError('total_timeout', `no list of models within ${boundMs / 1_000} s`))
  })
  const asked = { ...call, life, headers: plain(call.headers), inform: () => {} }
  return next(asked)
    .then(collected)
    .then((answer) => {
      if (answer !== undefined && isList(answer)) {
        entry.list = { ...answer, headers: { 'content-type': answer.headers['content-type'] } }
        entry.listedMs = clock.now()
        return entry.list
      }
      entry.quietMs = clock.now() + quietMs
      return answer
    })
    .catch((thrown: unknown) => {
      entry.quietMs = clock.now() + quietMs
      finish(life, asSidecarError(thrown))
      throw thrown
    })
    .finally(() => {
      entry.asking = undefined
      clock.clear(alarm)
      finish(life, undefined)
    })
}

/** Waits as long as the client does. */
function waited(call: Call, asking: Promise<Answer | undefined>): Promise<Answer | undefined> {
  return new Promise((give, refuse) => {
    onCancel(call.life, refuse)
    asking.then(give, refuse).finally(() => {
      offCancel(call.life, refuse)
    })
  })
}

function collected(reply: Reply): Promise<Answer | undefined> {
  const { status } = reply
  const headers = { ...reply.headers }
  // Of one client only, or about how the bytes came.
  for (const name of ['set-cookie', 'transfer-encoding', 'trailer', 'content-length']) delete headers[name]
  return new Promise((give, refuse) => {
    const chunks: Buffer[] = []
    let bytes = 0
    const tooMuch = new SidecarError('client_gone', 'the list of models is too long to be kept')
    const tap = reply.flow({
      data: (chunk) => {
        bytes += chunk.length
        if (bytes <= mostBytes) chunks.push(chunk)
        else tap.close(tooMuch)
        return bytes <= mostBytes
      },
      end: () => {
        give({ status, headers, body: Buffer.concat(chunks) })
      },
      fail: (reason) => {
        if (reason === tooMuch) give(undefined)
        else refuse(reason)
      },
    })
  })
}

function served(list: Answer, cached: Cached, ageMs: number): Reply {
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

const isDown = (status: number): boolean => status >= 500 || status === 429

/** Everything by which an upstream may choose another list. */
function keyOf({ path = '', headers }: Call): string {
  let key = path
  for (let at = 0; at < headers.length; at += 2) {
    const name = (headers[at] ?? '').toLowerCase()
    if (name.startsWith('openai-') || name.startsWith('anthropic-')) key += `\n${name}: ${headers[at + 1] ?? ''}`
  }
  return key
}

/** Without what asks for a part, for a change since, or for a coding that the next client may not understand. */
function plain(headers: readonly string[]): readonly string[] {
  return headers.filter((_item, at) => !/^(?:accept-encoding|range|if-.*)$/i.test(headers[at - (at % 2)] ?? ''))
}

/** The query is the client's to choose, so the number of lists has a bound: the one that was asked for first goes. */
function entryFor(entries: Map<string, Entry>, key: string): Entry {
  const known = entries.get(key)
  if (known !== undefined) return known
  const [oldest] = entries.keys()
  if (entries.size >= mostEntries && oldest !== undefined) entries.delete(oldest)
  const entry: Entry = { list: undefined, listedMs: 0, quietMs: 0, asking: undefined }
  entries.set(key, entry)
  return entry
}
