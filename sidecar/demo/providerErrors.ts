import { json, type Answer } from './providerAnswer.ts'

/** Whose manners an endpoint has: OpenAI and Anthropic differ in errors, headers and where the key stands. */
export type Dialect = 'openai' | 'anthropic'

export type Problem = {
  readonly status: number
  readonly type: string
  readonly message: string
  readonly code?: string
  readonly param?: string
}

// Anthropic names an error by its status; OpenAI calls nearly everything an invalid request and tells them apart by code.
const anthropicTypes: Readonly<Record<number, string>> = {
  401: 'authentication_error',
  404: 'not_found_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  500: 'api_error',
  503: 'overloaded_error',
  529: 'overloaded_error',
}

const invalid = 'invalid_request_error'

export const problems = {
  noKey: { status: 401, type: invalid, message: 'No API key was sent with this request.' },
  wrongKey: { status: 401, type: invalid, code: 'invalid_api_key', message: 'This API key is not known here.' },
  badJson: { status: 400, type: invalid, message: 'The body of this request is not a JSON object.' },
  noModel: { status: 400, type: invalid, param: 'model', message: 'This request names no model.' },
  noVersion: { status: 400, type: invalid, message: 'anthropic-version: this header is required.' },
  noModelLike: (model: string) => ({
    status: 404,
    type: invalid,
    param: 'model',
    code: 'model_not_found',
    message: `The model ${JSON.stringify(model)} does not exist here.`,
  }),
  noPathLike: (method: string, path: string) => ({ status: 404, type: invalid, message: `There is no ${method} ${path} here.` }),
  tooMany: { status: 429, type: 'requests', code: 'rate_limit_exceeded', message: 'Too many requests: ask again in 2 s.' },
  noQuota: {
    status: 429,
    type: 'insufficient_quota',
    code: 'insufficient_quota',
    message: 'The quota of this key is used up: check plan and billing.',
  },
  failed: { status: 500, type: 'server_error', message: 'The model failed in the middle of a thought.' },
  overloaded: { status: 503, type: 'server_error', message: 'The model is overloaded: ask again in 1 s.' },
  broken: { status: 500, type: 'server_error', message: 'The fake provider failed to answer.' },
} as const

/** The error in the words of the dialect. */
export function refusal(dialect: Dialect, problem: Problem, requestId: string): Answer {
  const { status, type, message, code = null, param = null } = problem
  if (dialect === 'openai') return json({ error: { message, type, param, code } }, 0, status)
  return json({ type: 'error', error: { type: anthropicTypes[status] ?? invalid, message }, request_id: requestId }, 0, status)
}
