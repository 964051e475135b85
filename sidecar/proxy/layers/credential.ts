import { isUpload, type Call, type Handler, type Layer, type Reply } from '../call.ts'
import type { SidecarError } from '../errors.ts'

/** How an upstream wants its key shown. */
export interface Scheme {
  readonly header: string
  readonly prefix: string
}

export interface Key {
  /** The key as it is now; throws a SidecarError `no_credential` when there is none that can be used. */
  readonly current: () => string
  /** Looks at once whether the key has changed; undefined when there is none to be had. */
  readonly refresh: () => Promise<string | undefined>
}

/** Without a key no call can be made, whatever the upstream does. */
export function isUsable(key: Pick<Key, 'current'> | undefined): boolean {
  try {
    key?.current()
    return true
  } catch {
    return false
  }
}

/**
 * Puts the upstream's key on. Innermost: no layer above can log, measure or repeat a key it never saw. A 401 makes it look for a new key at
 * once, and only a key that really changed is worth a second attempt.
 */
export function credential({ header, prefix }: Scheme, key: Key | undefined): Layer {
  if (key === undefined) return (next) => next
  const asked = (call: Call, next: Handler, shown: string): Promise<Reply> => next(withHeader(call, header, prefix + shown))
  const renewed = async (call: Call, next: Handler, shown: string, refused: Reply): Promise<Reply> => {
    const renewal = await key.refresh()
    if (renewal === undefined || renewal === shown) return refused
    refused.drop()
    // An attempt on a connection that had to be a new one counts as the one before it; this one is another.
    if (call.fresh) call.facts.attempts++
    return await asked(call, next, renewal)
  }
  return (next) => (call) => {
    let shown: string
    try {
      shown = key.current()
    } catch (err) {
      return Promise.reject(err as SidecarError)
    }
    return asked(call, next, shown).then((reply) =>
      reply.status !== 401 || (isUpload(call.body) && !call.body.untouched()) ? reply : renewed(call, next, shown, reply),
    )
  }
}

function withHeader(call: Call, name: string, value: string): Call {
  return { ...call, headers: without(call.headers, name).concat(name, value) }
}

/** What the client says under the name of a provider's own is no key either, and two values would arrive as one. */
function without(headers: readonly string[], name: string): readonly string[] {
  const lower = name.toLowerCase()
  // Asked of every header of every call: nearly all differ by their length.
  const isNamed = (other = ''): boolean => other.length === lower.length && other.toLowerCase() === lower
  for (let at = 0; at < headers.length; at += 2) {
    if (isNamed(headers[at])) return headers.filter((_item, place) => !isNamed(headers[place - (place % 2)]))
  }
  return headers
}
