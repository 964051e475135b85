import { isIP } from 'node:net'
import * as v from 'valibot'
import { durationPattern, formatDuration, formatSize, parseDuration, parseSize, sizePattern } from './units.ts'

// A message that starts with "must be" gets the value it refuses appended, as far as that may be shown: see problems.ts.
const aDuration = 'must be a duration, one whole number with its unit, such as 500ms, 60s, 5m or 1h'
const aSize = 'must be a size, one whole number with its unit, such as 512KB, 50MB, 8MiB or 1GiB'

const longestTimer = parseDuration('576h')
const largestSize = parseSize('1024GiB')

/** A duration, in milliseconds. Zero must be asked for: a wait of nothing refuses every call. */
export function duration({ least = '1ms' }: { readonly least?: string } = {}) {
  return v.pipe(
    v.string(aDuration),
    v.regex(durationPattern, aDuration),
    v.transform(parseDuration),
    v.minValue(parseDuration(least), `must be at least ${least}`),
    // Timers of the runtime hold 24 days; beyond that they fire at once.
    v.maxValue(longestTimer, `must be at most ${formatDuration(longestTimer)}`),
  )
}

/** A duration, or a word in its place. */
export function durationOr<const Word extends string, const Value extends string | number>(word: Word, value: Value) {
  const expected = `${aDuration}, or ${word}`
  return v.pipe(
    v.string(expected),
    v.regex(new RegExp(`^${word}$|${durationPattern.source}`), expected),
    v.transform((text): Value | number => (text === word ? value : parseDuration(text))),
    v.check(
      (wait) => wait === value || (typeof wait === 'number' && wait > 0 && wait <= longestTimer),
      `must be 1ms to ${formatDuration(longestTimer)}`,
    ),
  )
}

/** A size, in bytes. */
export function size({ least = '1B' }: { readonly least?: string } = {}) {
  return v.pipe(
    v.string(aSize),
    v.regex(sizePattern, aSize),
    v.transform(parseSize),
    v.minValue(parseSize(least), `must be at least ${least}`),
    v.maxValue(largestSize, `must be at most ${formatSize(largestSize)}`),
  )
}

/** A size, or a word that stands for none. */
export function sizeOr<const Word extends string>(word: Word, most: string) {
  const expected = `${aSize}, or ${word}`
  return v.pipe(
    v.string(expected),
    v.regex(new RegExp(`^${word}$|${sizePattern.source}`), expected),
    v.transform((text) => (text === word ? 0 : parseSize(text))),
    v.check((bytes) => bytes <= parseSize(most), `must be at most ${most}`),
  )
}

/** A part of the whole, of which none and all are parts too. */
const aShare = 'must be a number from 0 to 1, such as 0.1, without quotes'
export const share = v.pipe(v.number(aShare), v.minValue(0, aShare), v.maxValue(1, aShare))

/** A part that must not be nothing. */
const aPart = 'must be a number from 0.01 to 1, such as 0.1, without quotes'
export const someShare = v.pipe(v.number(aPart), v.minValue(0.01, aPart), v.maxValue(1, aPart))

/** A part of the memory that the container may use, or a fixed size. */
export type MemoryBound = { readonly share: number } | { readonly bytes: number }

const aMemoryBound = 'must be a share such as 40%, or a size such as 256MiB'
export const memoryBound = v.pipe(
  v.string(aMemoryBound),
  v.regex(new RegExp(`^(?:[1-9]\\d?|100)%$|${sizePattern.source}`), aMemoryBound),
  v.transform((text): MemoryBound => (text.endsWith('%') ? { share: Number.parseInt(text, 10) / 100 } : { bytes: parseSize(text) })),
  v.check((bound) => 'share' in bound || (bound.bytes > 0 && bound.bytes <= largestSize), `must be 1B to ${formatSize(largestSize)}`),
)

export const port = count({ least: 0, most: 65_535 })

export function count({ least = 1, most = 1_000_000 }: { readonly least?: number; readonly most?: number } = {}) {
  const expected = `must be a whole number from ${least} to ${most}, without quotes`
  return v.pipe(v.number(expected), v.integer(expected), v.minValue(least, expected), v.maxValue(most, expected))
}

export const flag = v.boolean('must be true or false')

export const filePath = v.pipe(v.string('must be the path of a file'), v.nonEmpty('must be the path of a file'))

/** A name as Kubernetes writes them, so that it fits into labels, metrics and headers as it is. */
export const name = v.pipe(
  v.string('must be a name: letters a-z, digits and -, at most 63'),
  v.regex(/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/, 'must be a name: letters a-z, digits and -, at most 63'),
)

const aHost = 'must be a host name or an IP address, without scheme or port'
export const host = v.pipe(
  v.string(aHost),
  v.check((text) => isIP(text) !== 0 || hostName.test(text), aHost),
)
const hostName = /^(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]{0,62})(?:\.[a-z0-9_][a-z0-9_-]{0,62})*$/i

export const ipAddress = v.pipe(
  v.string('must be an IP address'),
  v.check((text) => isIP(text) !== 0, 'must be an IP address'),
)

const anHttpUrl = 'must be a whole URL that starts with https:// or http://'
export const httpUrl = v.pipe(
  v.string(anHttpUrl),
  v.regex(/^https?:\/\/[^\s/?#]\S*$/, anHttpUrl),
  v.check((text) => URL.canParse(text), anHttpUrl),
)

/** The header names that HTTP allows. */
export const headerName = v.pipe(
  v.string('must be the name of a header'),
  v.regex(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/, 'must be the name of a header'),
)
