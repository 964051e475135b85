/** What an error of ours says, whatever shape it is given. */
export interface ErrorFacts {
  readonly kind: string
  readonly status: number
  readonly message: string
  readonly fault: string
  readonly call: string
  readonly upstream: string
  readonly attempts: number
  readonly afterMs: number
  readonly more?: Readonly<Record<string, unknown>> | undefined
}

const openAiTypes: Readonly<Record<number, string>> = {
  400: 'invalid_request_error',
  401: 'authentication_error',
  404: 'invalid_request_error',
  408: 'timeout_error',
  413: 'invalid_request_error',
  417: 'invalid_request_error',
  431: 'invalid_request_error',
  502: 'upstream_error',
  503: 'service_unavailable_error',
  504: 'timeout_error',
}

const anthropicTypes: Readonly<Record<number, string>> = {
  400: 'invalid_request_error',
  401: 'authentication_error',
  404: 'not_found_error',
  408: 'timeout_error',
  413: 'request_too_large',
  417: 'invalid_request_error',
  431: 'invalid_request_error',
  503: 'overloaded_error',
  504: 'timeout_error',
}

/** What was tried and who failed, beside the message that people read. */
const details = ({ fault, call, upstream, attempts, afterMs, more }: ErrorFacts): Record<string, unknown> => ({
  fault,
  // What is refused before it is a call has no id.
  call: call === '' ? null : call,
  upstream: upstream === '' ? null : upstream,
  attempts,
  after_ms: afterMs,
  ...more,
})

export function openAiError(facts: ErrorFacts): string {
  const error = { message: facts.message, type: openAiTypes[facts.status] ?? 'server_error', param: null, code: facts.kind }
  return JSON.stringify({ error, outrider: details(facts) })
}

export function anthropicError(facts: ErrorFacts): string {
  const error = { type: anthropicTypes[facts.status] ?? 'api_error', message: facts.message }
  return JSON.stringify({ type: 'error', error, request_id: facts.call, outrider: { kind: facts.kind, ...details(facts) } })
}

/**
 * The last event of a stream that failed. Every known client of OpenAI's streams ends on one of its forms: the name of the event, or `error`
 * inside the data; those of Responses want a number above the last one.
 */
export function openAiErrorEvent(facts: ErrorFacts, number: number): string {
  const { message, fault, status } = facts
  const code = 'stream_interrupted'
  const type = fault === 'upstream' ? 'upstream_error' : (openAiTypes[status] ?? 'server_error')
  const error = { message, type, param: null, code }
  const all = {
    type: 'error',
    code,
    message,
    param: null,
    sequence_number: number,
    error,
    outrider: { kind: facts.kind, ...details(facts) },
  }
  return `event: error\ndata: ${JSON.stringify(all)}\n\n`
}

export const anthropicErrorEvent = (facts: ErrorFacts): string => `event: error\ndata: ${anthropicError(facts)}\n\n`
