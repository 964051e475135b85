import type { Headers } from '../headers.ts'

/**
 * How long an upstream that turned a call away asks us to wait, in ms, and uncapped: whoever waits knows how long it may. The plainest word
 * counts first, what is written for people last; nonsense (negative, past, no number) is no word at all.
 */
export function waitHint(headers: Headers, bodyStart: Buffer | undefined, nowEpochMs: number): number | undefined {
  // Times of the upstream count against its own clock, which may be minutes away from ours.
  const zero = dateOf(one(headers, 'date')) ?? nowEpochMs
  return (
    sane(numberOf(one(headers, 'retry-after-ms'))) ??
    sane(numberOf(one(headers, 'x-ms-retry-after-ms'))) ??
    waitOf(one(headers, 'retry-after'), zero) ??
    longest(openAi.map((name) => bucketOf(headers, `x-ratelimit-remaining-${name}`, `x-ratelimit-reset-${name}`, zero))) ??
    longest(common.map((name) => bucketOf(headers, `${name}-remaining`, `${name}-reset`, zero))) ??
    longest(anthropic.map((name) => bucketOf(headers, `${name}-remaining`, `${name}-reset`, zero))) ??
    policiesOf(one(headers, 'ratelimit')) ??
    (bodyStart === undefined ? undefined : textOf(bodyStart.toString('utf8', 0, longestText)))
  )
}

const openAi = ['requests', 'tokens', 'requests_usage_based', 'tokens_usage_based']
const common = ['x-ratelimit', 'ratelimit']
const anthropic = ['requests', 'tokens', 'input-tokens', 'output-tokens'].map((name) => `anthropic-ratelimit-${name}`)

/** Errors are short; what is longer is a page for browsers. */
const longestText = 8 * 1024

const one = (headers: Headers, name: string): string | undefined => {
  const value = headers[name]
  return (Array.isArray(value) ? value[0] : value)?.trim()
}

const sane = (ms: number | undefined): number | undefined => (ms !== undefined && Number.isFinite(ms) && ms >= 0 ? ms : undefined)

const numberOf = (text: string | undefined): number | undefined =>
  text !== undefined && /^-?\d+(?:\.\d+)?$/.test(text) ? Number(text) : undefined

/**
 * When a bucket is full again. That is how long to wait only where it is empty, or where nobody says how full it is: a bucket that merely
 * holds too little for this call has enough for it long before it is full.
 */
function bucketOf(headers: Headers, remaining: string, reset: string, zero: number): number | undefined {
  const left = numberOf(one(headers, remaining))
  return left !== undefined && left > 0 ? undefined : waitOf(one(headers, reset), zero)
}

/** All limits that were hit must have gone by. */
function longest(waits: readonly (number | undefined)[]): number | undefined {
  let most: number | undefined
  for (const wait of waits) if (wait !== undefined && wait > (most ?? -1)) most = wait
  return most
}

/** No delay in seconds is as large as a time of this century in seconds, and no such time in seconds as large as one in ms. */
const leastEpochSeconds = 1e9
const leastEpochMs = 1e11

/** A delay in seconds, a time since 1970 in seconds or ms, a duration with units, or a date. */
function waitOf(text: string | undefined, zero: number): number | undefined {
  if (text === undefined) return undefined
  const number = numberOf(text)
  if (number !== undefined) {
    if (number >= leastEpochMs) return sane(number - zero)
    return sane(number >= leastEpochSeconds ? number * 1_000 - zero : number * 1_000)
  }
  const duration = durationOf(text)
  if (duration !== undefined) return duration
  const date = dateOf(text)
  return date === undefined ? undefined : sane(date - zero)
}

/** The three forms of HTTP and that of RFC 3339; Date.parse alone would take nearly everything for a date. */
function dateOf(text: string | undefined): number | undefined {
  if (text === undefined || !/^(?:[A-Z][a-z]{2,8},? |\d{4}-\d\d-\d\dT)/.test(text)) return undefined
  // The form of asctime names no zone and means GMT.
  const ms = Date.parse(/^[A-Z][a-z]{2} [A-Z]/.test(text) && !text.endsWith('GMT') ? `${text} GMT` : text)
  return Number.isNaN(ms) ? undefined : ms
}

const unitMs: Readonly<Record<string, number>> = { ns: 1e-6, us: 1e-3, '\u00b5s': 1e-3, ms: 1, s: 1e3, m: 6e4, h: 36e5, d: 864e5 }
const durationPart = /(\d{1,15}(?:\.\d{1,15})?)(ns|us|\u00b5s|ms|h|m|s|d)/g
const wholeDuration = /^(?:\d{1,15}(?:\.\d{1,15})?(?:ns|us|\u00b5s|ms|h|m|s|d)){1,8}$/

/** `6m0s`, `7.66s`, `12ms`. */
function durationOf(text: string): number | undefined {
  if (!wholeDuration.test(text)) return undefined
  let ms = 0
  for (const [, amount, unit] of text.matchAll(durationPart)) ms += Number(amount) * (unitMs[unit ?? ''] ?? 0)
  return sane(ms)
}

/** `"minute";r=0;t=30, "day";r=900;t=4000`: the policies of which nothing remains. */
function policiesOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  return longest(
    text.split(',').map((policy) => {
      const seconds = numberOf(/;\s*t=(\d+(?:\.\d+)?)(?=\s*(?:;|$))/.exec(policy)?.[1])
      const left = numberOf(/;\s*r=(-?\d+(?:\.\d+)?)(?=\s*(?:;|$))/.exec(policy)?.[1])
      return seconds === undefined || (left !== undefined && left > 0) ? undefined : sane(seconds * 1_000)
    }),
  )
}

const delayField = /"retryDelay"\s*:\s*"([\d.a-z]{1,40})"/
const words =
  /\b(?:try again|retry) (?:in|after) (\d{1,15}(?:\.\d{1,15})?) ?(ms|milliseconds?|s|secs?|seconds?|min|mins|minutes?|hours?|days?)?\b/i
const shortWords = /\b(?:try again|retry) (?:in|after) ((?:\d{1,15}(?:\.\d{1,15})?(?:ms|h|m|s|d)){1,6})(?![\w])/i

/** What a person would read: `Please try again in 6m0s`, `retry after 20 seconds`. */
function textOf(text: string): number | undefined {
  const field = durationOf(delayField.exec(text)?.[1] ?? '')
  if (field !== undefined) return field
  const short = durationOf(shortWords.exec(text)?.[1]?.toLowerCase() ?? '')
  if (short !== undefined) return short
  const said = words.exec(text)
  if (said === null) return undefined
  const unit = (said[2] ?? 's').toLowerCase()
  const initial = unit.startsWith('ms') || unit.startsWith('mil') ? 'ms' : (unit[0] ?? 's')
  return sane(Number(said[1]) * (unitMs[initial] ?? 1_000))
}
