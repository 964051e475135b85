import type { Headers } from '../headers.ts'

/** A page of something on the way, or nothing at all: known by the head alone. */
export const isSpoiled = ({ 'content-type': type, 'content-length': length }: Headers): boolean => isPage(type) || length === '0'

const isPage = (type: Headers[string]): boolean => typeof type === 'string' && /^text\/html\b/i.test(type)

/**
 * Whether these bytes cannot be what a model says when it is asked for JSON, whatever their type is called: `whole` when no more follow. Only
 * both ends are looked at, for what lies between is long, and what breaks off or is no JSON shows there.
 */
export function isNoJson({ 'content-encoding': coding = 'identity' }: Headers, bytes: Buffer, whole: boolean): boolean {
  if (coding !== 'identity') return whole && bytes.length === 0
  let from = 0
  while (from < bytes.length && isSpace(bytes[from])) from++
  if (from === bytes.length) return whole
  if (bytes[from] !== brace && bytes[from] !== bracket) return true
  let to = bytes.length - 1
  while (whole && isSpace(bytes[to])) to--
  // A closing one is two behind its opening one.
  return whole && bytes[to] !== brace + 2 && bytes[to] !== bracket + 2
}

const brace = 0x7b
const bracket = 0x5b
const isSpace = (byte: number | undefined): boolean => byte === 0x20 || (byte !== undefined && byte >= 0x09 && byte <= 0x0d)

/** An answer that consists of an error, though its status says that all is well: some brokers of providers send it. */
export function isOnlyError(bytes: Buffer): boolean {
  // Nearly all answers begin otherwise, and are known by their first letter.
  const first = bytes.indexOf(quote)
  return bytes[first + 1] === letterE && /^\s*\{\s*"error"\s*:\s*\{/.test(bytes.toString('latin1', 0, 96))
}

const quote = 0x22
const letterE = 0x65
