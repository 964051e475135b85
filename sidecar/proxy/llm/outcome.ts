import type { Headers } from '../headers.ts'
import type { KindName } from '../errors.ts'
import { errorSaid, type Said } from './errorSaid.ts'

/**
 * Where the call may go next. `other`: to another upstream, never to this one. `either`: to another one, or to this one where there is no
 * other. `fresh`: once more over a new connection, and nobody counts it. `none`: the answer is the client's.
 */
export type Again = 'none' | 'fresh' | 'other' | 'either'

/**
 * What an attempt says of its upstream. `hard` and `soft` are failures, and only hard ones count in a row; `limited` and `brief` are ends of
 * patience; `exhausted` and `auth` are about the key, not the upstream.
 */
export type Effect = 'good' | 'none' | 'soft' | 'hard' | 'limited' | 'brief' | 'exhausted' | 'auth'

/** Which fallback chains of models an outcome may begin. */
export type Trigger = 'error' | 'rate_limited' | 'context_window' | 'content_policy' | 'timeout'

interface Row {
  readonly again: Again
  readonly effect: Effect
  /** What the next attempt costs the retry budget, at the same upstream and at another. */
  readonly cost: { readonly same: number; readonly other: number }
  /** The model may have worked on the call: to repeat it may bill twice. */
  readonly maybeBilled: boolean
  readonly triggers: readonly Trigger[]
}

const row = (again: Again, effect: Effect, cost: readonly [number, number], triggers: string): Row => ({
  again,
  effect,
  cost: { same: cost[0], other: cost[1] },
  maybeBilled: triggers.includes('billed'),
  triggers: triggers.split(' ').filter((word): word is Trigger => word !== '' && word !== 'billed'),
})

const free = [0, 0] as const
/** Turned away before any work: to ask elsewhere adds nothing to what the one that failed has to do. */
const turnedAway = [1, 0] as const
const repeated = [1, 1] as const
/** What may have been paid for already counts double. */
const paid = [2, 2] as const

/** Every way an attempt can end. Retries, health, budgets and fallbacks read this table; add a row, not a branch. */
export const outcomes = {
  good: row('none', 'good', free, ''),
  /** A kept connection that had been closed before it was used again. */
  stale: row('fresh', 'none', free, ''),
  connect: row('either', 'hard', turnedAway, 'error'),
  overloaded: row('either', 'soft', turnedAway, 'error'),
  /** Overloaded, and says so of this account: 529, or a ramp that was too steep. */
  saturated: row('either', 'brief', turnedAway, 'error rate_limited'),
  rate_limited: row('either', 'limited', turnedAway, 'rate_limited'),
  quota: row('other', 'exhausted', free, 'rate_limited'),
  auth: row('other', 'auth', free, 'error'),
  server: row('either', 'hard', repeated, 'error billed'),
  timeout: row('other', 'hard', paid, 'timeout billed'),
  /** It stopped taking the request, and of half a request no model can have made anything. */
  stuck: row('other', 'hard', turnedAway, 'timeout'),
  reset: row('either', 'hard', paid, 'error billed'),
  /** The upstream does not have this model: another may. */
  model: row('other', 'none', free, 'error'),
  context: row('none', 'none', free, 'context_window'),
  policy: row('none', 'none', free, 'content_policy'),
  client: row('none', 'none', free, ''),
  /** The model cannot do what the call asks for; another might. */
  unsupported: row('none', 'none', free, ''),
  /** Failed when the client had part of the answer already. */
  committed: row('none', 'hard', free, 'billed'),
  client_abort: row('none', 'none', free, 'billed'),
  /** Our own bounds stopped it before the upstream heard of it. */
  busy: row('other', 'none', free, ''),
  sidecar: row('none', 'none', free, ''),
  /** Asked how it is, it has said so. No call went well by that, and none has failed. */
  asked: row('none', 'none', free, ''),
  /** And what it said is that it cannot serve now: another may be better off. */
  unwell: row('other', 'none', free, ''),
} as const satisfies Record<string, Row>

export type Outcome = keyof typeof outcomes

/** It failed as such, has no connection left, or says itself how it is: with another of its keys it would hardly fare better. */
export function isOfUpstream(outcome: Outcome): boolean {
  const { effect } = outcomes[outcome]
  return effect === 'hard' || effect === 'soft' || outcome === 'busy' || outcome === 'unwell'
}

/** How far an attempt had come: `precommit` has the head of the answer, `committed` has given some of it to the client. */
export type Phase = 'connect' | 'sent' | 'precommit' | 'committed'

const byKind: Readonly<Record<KindName, Outcome>> = {
  bad_request: 'client',
  unauthorized: 'client',
  not_found: 'client',
  client_timeout: 'client_abort',
  body_too_large: 'client',
  expectation_failed: 'client',
  header_too_large: 'client',
  client_gone: 'client_abort',
  internal: 'sidecar',
  proxy_overloaded: 'sidecar',
  draining: 'sidecar',
  no_credential: 'auth',
  pool_timeout: 'busy',
  dns_failed: 'connect',
  connect_failed: 'connect',
  connect_timeout: 'connect',
  tls_failed: 'connect',
  egress_failed: 'connect',
  write_timeout: 'stuck',
  first_event_timeout: 'timeout',
  idle_timeout: 'timeout',
  total_timeout: 'timeout',
  stale_connection: 'stale',
  no_reply: 'reset',
  bad_reply: 'server',
  no_upstream: 'overloaded',
  reply_cut: 'reset',
}

/** The outcome of an attempt that failed without an answer, or in the middle of one. */
export function outcomeOfFailure(kind: KindName, phase: Phase): Outcome {
  const outcome = byKind[kind]
  if (phase === 'committed' && (outcome === 'timeout' || outcome === 'reset' || outcome === 'server')) return 'committed'
  // Not a byte of the call was written, so that nobody can have worked on it.
  return phase === 'connect' && outcome === 'reset' ? 'connect' : outcome
}

/** The outcome of an attempt that was answered; `bodyStart` is of an answer that is an error. */
export function outcomeOfReply(status: number, bodyStart: Buffer | undefined): Outcome {
  if (status < 400) return 'good'
  return outcomeOf(status, errorSaid(bodyStart))
}

/** The same of an answer to `GET /health`, which may be another's than that of the model, and may know nothing of keys. */
export const outcomeOfHealth = (status: number): Outcome => (status >= 500 || status === 429 ? 'unwell' : 'asked')

/** The outcome of an answer that began well and whose first event, or whole body, is an error. */
export function outcomeOfErrorEvent(data: Buffer): Outcome {
  const said = errorSaid(data)
  return outcomeOf(said.status ?? statusOfType(said), said)
}

/** The word of the upstream itself on whether to come back: it knows more than its status says. */
export function againAfter(outcome: Outcome, headers: Headers): Again {
  const { again } = outcomes[outcome]
  const word = headers['x-should-retry']
  if (word === 'false' && again === 'either') return 'other'
  // Only where the call was not understood to be wrong: what is wrong stays wrong.
  return word === 'true' && (outcome === 'client' || outcome === 'unsupported') ? 'either' : again
}

const quotaCodes =
  /^(?:insufficient_quota|credit_balance_exhausted|(?:organization|project)_spend_limit_exceeded|organization_usage_limit_exceeded|enforced_spend_limit_reached|billing_hard_limit_reached|billing_not_active|billing_error|budget_exceeded|insufficient_credits)$/
const quotaTexts =
  /^(?:you exceeded your current quota|your credit balance is too low|insufficient (?:balance|credits|quota)|quota exceeded for (?:the )?(?:month|day))/
const contextCodes =
  /^(?:context_length_exceeded|context_window_exceeded|exceed_context_size_error|prompt_too_long|model_max_prompt_tokens_exceeded)$/
const contextTexts =
  /maximum context length|context (?:length|window|limit)|context size|prompt is too long|input is too long|input token count .{0,40}exceeds|too many (?:input |prompt )?tokens|reduce the length of (?:the|your) (?:messages|prompt|input)/
const policyCodes =
  /^(?:content_policy_violation|content_filter|moderation_blocked|responsibleaipolicyviolation|invalid_prompt|safety_error)$/
const policyTexts = /content management policy|content[ _]policy|safety system|usage polic(?:y|ies)|requires moderation|was flagged/
const modelCodes = /^(?:model_not_found|deploymentnotfound|model_not_available|invalid_model|unknown_model)$/
const modelTexts =
  /\bmodels?\b.{0,200}(?:does not exist|not exist\b|not found|is not available|no longer available)|not a valid model|^invalid model|^model: /
const featureCodes = /^unsupported_(?:parameter|value|feature|content|content_type|message_order)$/
const featureTexts =
  /(?:not|n['\u2019]t) (?:yet )?support|(?:not|only) (?:yet |currently )?(?:supported|enabled|allowed) (?:with|by|for|in|on)\b|\bunsupported\b|not a multimodal|no endpoints found that support|must end with a user message|last message .{0,80}must be a|expected last role|requires --enable-auto-tool-choice|at most 0 /
const rampCodes = /^(?:slow_down|overloaded_error)$/
const overloadCodes = /^(?:server_is_overloaded|service_unavailable_error|engine_overloaded|overloaded)$/

const hasCode = (codes: RegExp, { code, type }: Said): boolean => codes.test(code) || codes.test(type)

function outcomeOf(status: number, said: Said): Outcome {
  const { message } = said
  if (isQuota(status, said)) return 'quota'
  if (status === 529 || hasCode(rampCodes, said)) return 'saturated'
  if (status === 429) return 'rate_limited'
  if (status === 503 || (status >= 500 && hasCode(overloadCodes, said))) return 'overloaded'
  if (status === 501) return 'unsupported'
  if (status >= 500 || status === 408 || status === 409) return 'server'
  if (hasCode(contextCodes, said)) return 'context'
  if (hasCode(policyCodes, said)) return 'policy'
  if (hasCode(modelCodes, said)) return 'model'
  // Texts count where the status fits: an error may repeat what the client wrote.
  if ((status === 400 || status === 413 || status === 422) && contextTexts.test(message)) return 'context'
  if ((status === 400 || status === 403 || status === 422) && policyTexts.test(message)) return 'policy'
  if ((status === 400 || status === 404) && modelTexts.test(message)) return 'model'
  if (status === 401 || status === 403) return 'auth'
  if (hasCode(featureCodes, said)) return 'unsupported'
  return (status === 400 || status === 404 || status === 422) && featureTexts.test(message) ? 'unsupported' : 'client'
}

function isQuota(status: number, said: Said): boolean {
  if (status === 402) return true
  // Gemini says both with the same words: what counts per minute comes back by itself.
  if (said.state === 'resource_exhausted') return said.perDay
  if (status !== 429 && status !== 403 && status !== 400) return false
  return hasCode(quotaCodes, said) || quotaTexts.test(said.message)
}

const types: readonly (readonly [RegExp, number])[] = [
  [/quota|credit|spend_limit|usage_limit/, 429],
  [/rate_limit|too_many_requests|resource_exhausted/, 429],
  [/overloaded|unavailable/, 503],
  [/authentication|invalid_api_key|unauthenticated/, 401],
  [/permission/, 403],
  [/billing/, 402],
  [/not_?found/, 404],
  [/invalid_request|bad_?request|invalid_argument|invalid_prompt|context_length|content_/, 400],
]

/** Events carry no status, but their types are named after one. */
function statusOfType({ type, code, state }: Said): number {
  return types.find(([words]) => words.test(code) || words.test(type) || words.test(state))?.[1] ?? 500
}
