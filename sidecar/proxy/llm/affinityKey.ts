import type { Call } from '../call.ts'
import { headerOf } from '../headers.ts'
import type { AffinityKey } from '../upstream/route.ts'
import { skipSpace, stringEnd } from './body.ts'
import { fingerprint } from './fingerprint.ts'
import { stringAt } from './members.ts'
import { namesModel } from './operation.ts'
import { routeFacts, type RouteFacts } from './routeFacts.ts'

/** A number for what a call has in common with others, by the first of these that it has; 0 where it has none. */
export function affinityKey({ headers, body, facts }: Pick<Call, 'headers' | 'body' | 'facts'>, by: readonly AffinityKey[]): number {
  const read = Buffer.isBuffer(body) && namesModel(facts.operation) ? body : undefined
  let known: RouteFacts | undefined
  for (const key of by) {
    if (typeof key === 'object') {
      const value = headerOf(headers, key.header)
      if (value !== '') return numberOf(value)
    } else if (read !== undefined) {
      if (key === 'prompt_cache_key') {
        const value = promptCacheKey(read)
        if (value !== '') return numberOf(value)
        continue
      }
      known ??= routeFacts(read)
      if (key === 'user' && known.user !== '') return numberOf(known.user)
      if (key === 'prompt' && known.promptHash !== 0) return known.promptHash
    }
  }
  return 0
}

/** None is 0. */
const numberOf = (value: string): number => fingerprint(value) || 1

const name = Buffer.from('"prompt_cache_key"')
/** Begins with what is rare in a text, and is short: Node then finds it in a tenth of the time. */
const mark = '_cache_'
const before = name.indexOf(mark)

/** Asked of every call where nothing else is configured, so that it must cost less than a look at every member. */
function promptCacheKey(body: Buffer): string {
  for (let at = body.indexOf(mark); at >= 0; at = body.indexOf(mark, at + 1)) {
    const end = at - before + name.length
    if (at < before || body.compare(name, 0, name.length, at - before, end) !== 0) continue
    const colon = skipSpace(body, end)
    const from = skipSpace(body, colon + 1)
    if (body[colon] === 0x3a && body[from] === 0x22) return stringAt(body, from, stringEnd(body, from)) ?? ''
  }
  return ''
}
