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
const details = ({ fault, call, upstream, attempts, afterMs }: ErrorFacts): Record<string, unknown> => ({
  fault,
  call,
  upstream: upstream === '' ? null : upstream,
  attempts,
  after_ms: afterMs,
})

export function openAiError(facts: ErrorFacts): string {
  const error = { message: facts.message, type: openAiTypes[facts.status] ?? 'server_error', param: null, code: facts.kind }
  return JSON.stringify({ error, outrider: details(facts) })
}

export function anthropicError(facts: ErrorFacts): string {
  const error = { type: anthropicTypes[facts.status] ?? 'api_error', message: facts.message }
  return JSON.stringify({ type: 'error', error, request_id: facts.call, outrider: { kind: facts.kind, ...details(facts) } })
}

/** The last event of a stream that failed. Every known client ends on one of its two forms: the `error` event, or `error` inside the data. */
export function errorEvent(facts: ErrorFacts, anthropic: boolean): string {
  const code = 'stream_interrupted'
  const inner = anthropic
    ? { type: anthropicTypes[facts.status] ?? 'api_error', message: facts.message }
    : { message: facts.message, type: 'upstream_error', param: null, code }
  const outer = { type: 'error', code, message: facts.message, param: null, sequence_number: 0, error: inner }
  return `event: error\ndata: ${JSON.stringify({ ...outer, outrider: { kind: facts.kind, ...details(facts) } })}\n\n`
}
