import type { Headers, Layer } from '../call.ts'
import { tellsTokens, usageOf } from '../llm/usage.ts'
import { decoder } from '../llm/coding.ts'

/** Where the tokens stand in an answer of JSON: behind everything else, short of a client's metadata. */
const endBytes = 16 * 1024
/** A compressed answer can only be read from its beginning. */
const compressedBytes = 128 * 1024

/** Keeps the two ends of each answer, so that its tokens can be counted when the call is over; the bytes pass as they come. */
export function usage(): Layer {
  return (next) => async (call) => {
    const reply = await next(call)
    const { facts } = call
    if (!tellsTokens(facts.operation) || reply.status < 200 || reply.status > 299) return reply
    const { told } = reply
    if (told !== undefined) {
      facts.tellUsage = () => {
        const { first, last } = told()
        return usageOf(facts.operation, first?.toString('utf8', 0, endBytes) ?? '', last)
      }
      return reply
    }
    if (!isJson(reply.headers)) return reply
    const ends = bothEnds(reply.headers)
    if (ends === undefined) return reply
    facts.tellUsage = () => {
      const { first, last } = ends.text()
      return usageOf(facts.operation, first, last)
    }
    facts.note = ends.note
    return reply
  }
}

const isJson = ({ 'content-type': type }: Headers): boolean => typeof type === 'string' && /^application\/(?:[\w.-]+\+)?json/i.test(type)

interface Ends {
  readonly note: (bytes: Buffer) => void
  readonly text: () => { first: string; last: string }
}

/** Undefined for a coding that nobody here can undo. */
function bothEnds(headers: Headers): Ends | undefined {
  const coding = headers['content-encoding']
  const decode = coding === undefined || coding === 'identity' ? undefined : decoder(coding)
  if (coding !== undefined && coding !== 'identity' && decode === undefined) return undefined
  let first: Buffer | undefined
  let kept: Buffer[] = []
  let bytesKept = 0
  let tooLong = false
  const note = (bytes: Buffer): void => {
    if (tooLong) return
    first ??= bytes
    kept.push(bytes)
    bytesKept += bytes.length
    if (decode !== undefined) {
      if (bytesKept <= compressedBytes) return
      tooLong = true
      kept = []
    } else {
      while (bytesKept - (kept[0]?.length ?? 0) >= endBytes) bytesKept -= kept.shift()?.length ?? 0
    }
  }
  return {
    note,
    text: () => {
      if (first === undefined || kept.length === 0) return { first: '', last: '' }
      const [only] = kept
      const all = kept.length === 1 && only !== undefined ? only : Buffer.concat(kept)
      const plain = decode === undefined ? all : decode(all)
      if (plain === undefined) return { first: '', last: '' }
      const last = plain.toString('utf8', Math.max(0, plain.length - endBytes))
      const whole = plain.length <= endBytes && (decode !== undefined || first === only)
      return { first: whole ? last : (decode === undefined ? first : plain).toString('utf8', 0, endBytes), last }
    },
  }
}
