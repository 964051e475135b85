import type { Call, Handler, Headers, Reply } from './call.ts'
import type { Clock } from './clock.ts'
import { asSidecarError, SidecarError } from './errors.ts'
import { cancel, finish, newLife } from './life.ts'

/** What was got: an answer as it came, or nothing where there was too much of it to be kept. */
export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly body: Buffer
}

/** The last good list, and what is being done for the next. */
export interface Entry {
  list: Answer | undefined
  listedMs: number
  /** Until then a list that has grown old is served without asking again. */
  quietMs: number
  asking: Promise<Answer | undefined> | undefined
}

export const newEntry = (): Entry => ({ list: undefined, listedMs: 0, quietMs: 0, asking: undefined })

export interface AskOptions {
  readonly clock: Clock
  readonly boundMs: number
  readonly isList: (answer: Answer) => boolean
}

export const freshMs = 300_000
/** Who has an old list in hand need not wait for the new one as long as who has none. */
export const patienceMs = 5_000
/** An upstream that is down is asked again this often, not with every call. */
export const quietMs = 10_000
export const mostKeys = 16
const mostBytes = 4 * 1024 * 1024

/** One attempt for everyone who waits, so with a life of its own: who leaves takes it from nobody. */
export function ask(call: Call, next: Handler, entry: Entry, { clock, boundMs, isList }: AskOptions): Promise<Answer | undefined> {
  const life = newLife()
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
        entry.quietMs = 0
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

/** Everything by which an upstream may choose another list. */
export function keyOf({ path = '', headers }: Pick<Call, 'path' | 'headers'>): string {
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
export function keptUnder<Item>(items: Map<string, Item>, key: string, make: () => Item, most = mostKeys): Item {
  const known = items.get(key)
  if (known !== undefined) return known
  const [oldest] = items.keys()
  if (items.size >= most && oldest !== undefined) items.delete(oldest)
  const item = make()
  items.set(key, item)
  return item
}
