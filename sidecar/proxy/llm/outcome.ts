import type { Headers } from '../call.ts'
import type { KindName } from '../errors.ts'
import type { Trigger } from '../upstream/route.ts'
import { errorCodes } from './errorCodes.ts'

/** What an outcome says about the upstream: `limited` and the two after it are no ill health, but no time to call either. */
export type Effect = 'good' | 'none' | 'soft' | 'hard' | 'limited' | 'exhausted' | 'refused'

interface Row {
  /** What an attempt at another upstream costs of the budget for repeats; undefined where there must be none. */
  readonly other: number | undefined
  /** The same for another attempt at the same upstream. */
  readonly same: number | undefined
  /** The upstream refused before it began to work: who takes over adds no work to it, and nothing to the bill. */
  readonly definitive: boolean
  /** The tokens of the attempt may be on the bill although nobody got an answer. */
  readonly billed: boolean
  readonly throttled: boolean
  readonly effect: Effect
  readonly trigger: Trigger | undefined
}

const row = (other: number | undefined, same: number | undefined, marks: string, effect: Effect, trigger?: Trigger): Row => ({
  other,
  same,
  definitive: marks.includes('definitive'),
  billed: marks.includes('billed'),
  throttled: marks.includes('throttled'),
  effect,
  trigger,
})

/** Every way in which an attempt can come out, and what follows from it. */
export const outcomes = {
  good: row(undefined, undefined, '', 'good'),
  // No connection: nobody has seen the call.
  connect: row(0, 1, 'definitive', 'hard', 'error'),
  overloaded: row(0, 1, 'definitive throttled', 'soft', 'error'),
  rate_limited: row(0, 1, 'definitive throttled', 'limited', 'rate_limited'),
  // Whoever is out of money is so in a second too.
  quota: row(0, undefined, 'definitive', 'exhausted', 'rate_limited'),
  auth: row(0, undefined, 'definitive', 'refused', 'error'),
  // The head of the answer says that it failed, so no answer is on the bill.
  server: row(1, 1, 'definitive', 'hard', 'error'),
  // It said that all was well, and then gave nothing that is of use.
  spoiled: row(1, 1, 'billed', 'hard', 'error'),
  // It is slow: asked again it would be slow again.
  timeout: row(2, undefined, 'billed', 'hard', 'timeout'),
  reset: row(2, 2, 'billed', 'hard', 'error'),
  // All connections busy, by our own limit.
  busy: row(0, undefined, 'definitive', 'none', 'error'),
  no_credential: row(0, undefined, 'definitive', 'refused', 'error'),
  no_upstream: row(undefined, undefined, '', 'none', 'error'),
  missing_model: row(0, undefined, 'definitive', 'none', 'error'),
  context: row(undefined, undefined, '', 'none', 'context_window'),
  policy: row(undefined, undefined, '', 'none', 'content_policy'),
  client: row(undefined, undefined, '', 'none'),
  client_abort: row(undefined, undefined, '', 'none'),
  total: row(undefined, undefined, '', 'hard'),
  defect: row(undefined, undefined, '', 'none'),
} as const satisfies Record<string, Row>

export type Outcome = keyof typeof outcomes

const ofKinds: Readonly<Partial<Record<KindName, Outcome>>> = {
  client_gone: 'client_abort',
  internal: 'defect',
  no_credential: 'no_credential',
  no_upstream: 'no_upstream',
  pool_timeout: 'busy',
  dns_failed: 'connect',
  connect_failed: 'connect',
  connect_timeout: 'connect',
  tls_failed: 'connect',
  egress_failed: 'connect',
  // The upstream stopped taking the request, so it cannot have answered it, but it may have begun to.
  write_timeout: 'timeout',
  first_event_timeout: 'timeout',
  idle_timeout: 'timeout',
  total_timeout: 'total',
  stale_connection: 'reset',
  no_reply: 'reset',
  bad_reply: 'spoiled',
  reply_cut: 'reset',
}

/** Of an attempt that brought no answer. What is not the upstream's doing is the client's. */
export const outcomeOfFailure = (kind: KindName): Outcome => ofKinds[kind] ?? 'client'

/** Of an answer, from its status and, where that is an error, the beginning of its body. */
export function outcomeOfReply(status: number, headers: Headers, start: Buffer): Outcome {
  if (status < 400) return 'good'
  // What the body says is more than the status: some send all their errors with one.
  const named = status === 400 || status === 403 || status === 404 || status === 413 || status === 422 || status === 429 || status >= 500
  const told = named ? byBody(status, start) : undefined
  if (told !== undefined) return told
  if (status === 429) return 'rate_limited'
  if (status === 402) return 'quota'
  if (status === 401 || status === 403) return 'auth'
  if (status === 503 || status === 529) return 'overloaded'
  if (status >= 500 || status === 408 || status === 409) return headers['x-should-retry'] === 'false' ? 'client' : 'server'
  return 'client'
}

const quotaCodes =
  /insufficient_quota|credit_balance_exhausted|billing_hard_limit_reached|billing_not_active|_(?:spend|usage)_limit_exceeded|insufficient_balance/
const quotaTexts = /exceeded your current quota|insufficient (?:balance|credits?|funds)|credit balance is too low|out of credits/i
const contextCodes = /context_length_exceeded|context_window_exceeded|string_above_max_length/
const contextTexts =
  /maximum context length|context (?:length|window)[^.]{0,40}exceed|exceeds?[^.]{0,40}context (?:length|window)|prompt is too long|too many (?:input )?tokens|input (?:token count|length)[^.]{0,60}exceeds/i
const policyCodes = /content_policy_violation|content_filter|responsible_?ai_?policy|safety/

function byBody(status: number, start: Buffer): Outcome | undefined {
  if (start.length === 0) return undefined
  const { codes, message } = errorCodes(start)
  if (status === 429 || status === 403 || status === 400) {
    if (quotaCodes.test(codes) || (status !== 400 && quotaTexts.test(message)) || /credit balance is too low/i.test(message)) return 'quota'
  }
  if (status === 400 || status === 413 || status === 422) {
    if (contextCodes.test(codes) || contextTexts.test(message)) return 'context'
    if (policyCodes.test(codes)) return 'policy'
  }
  if (status === 404 && /model_not_found/.test(codes)) return 'missing_model'
  if (status === 404 && /\bmodel\b[^.]{0,80}(?:does not exist|not found)/i.test(message)) return 'missing_model'
  if (/slow_down|server_is_overloaded|overloaded_error/.test(codes)) return status === 429 ? 'rate_limited' : 'overloaded'
  return undefined
}
