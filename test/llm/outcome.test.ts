import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { kinds, type KindName } from '../../sidecar/proxy/errors.ts'
import {
  againAfter,
  outcomeOfErrorEvent,
  outcomeOfFailure,
  outcomeOfReply,
  outcomes,
  type Outcome,
} from '../../sidecar/proxy/llm/outcome.ts'

const openAi = (message: string, type: string, code: string | null = null): unknown => ({ error: { message, type, param: null, code } })
const anthropic = (type: string, message: string): unknown => ({ type: 'error', error: { type, message }, request_id: 'req_1' })
const gemini = (code: number, status: string, message: string, details: unknown[] = []): unknown => [
  { error: { code, message, status, details } },
]
const bytes = (body: unknown): Buffer => Buffer.from(typeof body === 'string' ? body : JSON.stringify(body))

const replies: readonly (readonly [number, unknown, Outcome])[] = [
  [200, '', 'good'],
  [304, '', 'good'],
  [400, openAi('Unknown parameter: x', 'invalid_request_error', 'unknown_parameter'), 'client'],
  [400, openAi("This model's maximum context length is 8192 tokens", 'invalid_request_error', 'context_length_exceeded'), 'context'],
  [400, openAi("This model's maximum context length is 4096 tokens. However, you requested 5000", 'BadRequestError'), 'context'],
  [400, anthropic('invalid_request_error', 'prompt is too long: 210000 tokens > 200000 maximum'), 'context'],
  [400, anthropic('invalid_request_error', 'input length and `max_tokens` exceed context limit: 1 + 2 > 3'), 'context'],
  [400, gemini(400, 'INVALID_ARGUMENT', 'The input token count (1200000) exceeds the maximum number of tokens allowed'), 'context'],
  [400, { object: 'error', message: "This model's maximum context length is 2048 tokens.", type: 'BadRequestError', code: 400 }, 'context'],
  [400, { error: { code: 400, message: 'the request exceeds the available context size', type: 'exceed_context_size_error' } }, 'context'],
  [400, openAi('Your request was rejected', 'invalid_request_error', 'content_policy_violation'), 'policy'],
  [400, openAi("The response was filtered due to Azure OpenAI's content management policy", '', 'content_filter'), 'policy'],
  [403, { error: { code: 403, message: 'Your chosen model requires moderation and your input was flagged' } }, 'policy'],
  [400, anthropic('invalid_request_error', 'Your credit balance is too low to access the Anthropic API'), 'quota'],
  [400, openAi("Invalid value: 'your credit balance is too low'", 'invalid_request_error'), 'client'],
  [400, { error: { message: 'Model Not Exist', type: 'invalid_request_error', code: 'invalid_request_error' } }, 'model'],
  [
    400,
    openAi("Unsupported parameter: 'max_tokens' is not supported with this model.", 'invalid_request_error', 'unsupported_parameter'),
    'unsupported',
  ],
  [400, openAi('Unsupported value', 'invalid_request_error', 'unsupported_value'), 'unsupported'],
  [400, openAi('Invalid content type. image_url is only supported by certain models.', 'invalid_request_error'), 'unsupported'],
  [
    400,
    openAi("Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model", 'invalid_request_error'),
    'unsupported',
  ],
  [
    400,
    anthropic(
      'invalid_request_error',
      'This model does not support assistant message prefill. The conversation must end with a user message.',
    ),
    'unsupported',
  ],
  [400, { error: { message: 'gemma:latest does not support tools' } }, 'unsupported'],
  [400, { error: { message: 'deepseek-reasoner doesn’t support Function Calling' } }, 'unsupported'],
  [
    400,
    { object: 'error', message: '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set', code: 400 },
    'unsupported',
  ],
  [400, { object: 'error', message: 'llama is not a multimodal model', code: 400 }, 'unsupported'],
  [404, { error: { code: 404, message: 'No endpoints found that support tool use.' } }, 'unsupported'],
  [400, gemini(400, 'INVALID_ARGUMENT', 'Function calling is not enabled for models/gemma-3'), 'unsupported'],
  [
    400,
    { object: 'error', message: 'Expected last role User or Tool (or Assistant with prefix True) for serving but got assistant' },
    'unsupported',
  ],
  [400, openAi('The last message of the reasoner must be a user message', 'invalid_request_error'), 'unsupported'],
  [400, openAi('messages: field required', 'invalid_request_error'), 'client'],
  [401, openAi('This key is not allowed for unsupported regions', 'x'), 'auth'],
  [401, openAi('Incorrect API key', 'invalid_request_error', 'invalid_api_key'), 'auth'],
  [401, '<html>no</html>', 'auth'],
  [402, { error: { message: 'Insufficient Balance', type: 'unknown_error', code: 'invalid_request_error' } }, 'quota'],
  [402, anthropic('billing_error', 'pay'), 'quota'],
  [403, openAi('Project does not have access to model gpt-9', 'invalid_request_error', 'model_not_found'), 'model'],
  [403, anthropic('permission_error', 'no'), 'auth'],
  [404, openAi('The model `gpt-9` does not exist or you do not have access to it.', 'invalid_request_error', 'model_not_found'), 'model'],
  [404, { object: 'error', message: 'The model `m` does not exist.', type: 'NotFoundError', code: 404 }, 'model'],
  [404, { error: 'model "llama9" not found, try pulling it first' }, 'model'],
  [404, { error: { code: 'DeploymentNotFound', message: 'The API deployment for this resource does not exist.' } }, 'model'],
  [404, anthropic('not_found_error', 'model: claude-9'), 'model'],
  [404, gemini(404, 'NOT_FOUND', 'models/gemini-9 is not found for API version v1main'), 'model'],
  [404, { detail: 'Not Found' }, 'client'],
  [404, '<html>404</html>', 'client'],
  [408, '', 'server'],
  [409, '', 'server'],
  [413, anthropic('request_too_large', 'Request exceeds the maximum size'), 'client'],
  [415, '', 'client'],
  [422, { detail: [{ loc: ['body'], msg: 'field required' }] }, 'client'],
  [429, openAi('Rate limit reached', 'tokens', 'rate_limit_exceeded'), 'rate_limited'],
  [429, '', 'rate_limited'],
  [429, '<html>slow</html>', 'rate_limited'],
  [429, openAi('Slow down', 'rate_limit_error', 'slow_down'), 'saturated'],
  [429, openAi('You exceeded your current quota, please check your plan', 'insufficient_quota', 'insufficient_quota'), 'quota'],
  [429, openAi('x', 'insufficient_quota'), 'quota'],
  [429, openAi('x', 'rate_limit_error', 'credit_balance_exhausted'), 'quota'],
  [429, openAi('x', 'rate_limit_error', 'organization_spend_limit_exceeded'), 'quota'],
  [429, openAi('x', 'rate_limit_error', 'project_spend_limit_exceeded'), 'quota'],
  [429, openAi('x', 'rate_limit_error', 'organization_usage_limit_exceeded'), 'quota'],
  [429, anthropic('rate_limit_error', 'This request would exceed your rate limit'), 'rate_limited'],
  [
    429,
    gemini(429, 'RESOURCE_EXHAUSTED', 'You exceeded your current quota', [{ quotaId: 'GenerateRequestsPerMinutePerProject' }]),
    'rate_limited',
  ],
  [429, gemini(429, 'RESOURCE_EXHAUSTED', 'You exceeded your current quota', [{ quotaId: 'GenerateRequestsPerDayPerProject' }]), 'quota'],
  [500, openAi('The server had an error', 'server_error'), 'server'],
  [500, openAi('busy', 'server_error', 'server_is_overloaded'), 'overloaded'],
  [501, '', 'unsupported'],
  [502, '<html>bad gateway</html>', 'server'],
  [503, openAi('busy', 'service_unavailable_error', 'server_is_overloaded'), 'overloaded'],
  [503, '', 'overloaded'],
  [504, anthropic('timeout_error', 'x'), 'server'],
  [520, '', 'server'],
  [524, '', 'server'],
  [529, anthropic('overloaded_error', 'Overloaded'), 'saturated'],
  [529, '', 'saturated'],
]

for (const [status, body, outcome] of replies) {
  test(`${status} ${JSON.stringify(body).slice(0, 90)} is ${outcome}`, () => {
    assert.equal(outcomeOfReply(status, bytes(body)), outcome)
  })
}

test('an error that breaks off is understood by its first words', () => {
  const whole = JSON.stringify(openAi('You exceeded your current quota', 'insufficient_quota', 'insufficient_quota'))
  assert.equal(outcomeOfReply(429, Buffer.from(whole.slice(0, -3))), 'quota')
  const long = JSON.stringify(anthropic('overloaded_error', 'x'.repeat(20_000)))
  assert.equal(outcomeOfReply(500, Buffer.from(long)), 'saturated')
})

const events: readonly (readonly [unknown, Outcome])[] = [
  [anthropic('overloaded_error', 'Overloaded'), 'saturated'],
  [anthropic('rate_limit_error', 'x'), 'rate_limited'],
  [anthropic('api_error', 'x'), 'server'],
  [anthropic('authentication_error', 'x'), 'auth'],
  [anthropic('invalid_request_error', 'prompt is too long: 1 > 0'), 'context'],
  [openAi('The server had an error', 'server_error'), 'server'],
  [openAi('x', 'insufficient_quota', 'insufficient_quota'), 'quota'],
  [{ error: { code: 429, message: 'limit' }, choices: [{ finish_reason: 'error' }] }, 'rate_limited'],
  [{ error: { code: 502, message: 'Provider returned error' } }, 'server'],
  [{ type: 'response.failed', response: { error: { code: 'rate_limit_exceeded', message: 'x' } } }, 'rate_limited'],
  [{ type: 'error', code: 'server_error', message: 'x' }, 'server'],
  ['garbage', 'server'],
]

for (const [body, outcome] of events) {
  test(`an answer that begins with ${JSON.stringify(body).slice(0, 80)} is ${outcome}`, () => {
    assert.equal(outcomeOfErrorEvent(bytes(body)), outcome)
  })
}

test('what may be repeated without harm is exactly what may not have been billed', () => {
  for (const [name, { fault, safeToRepeat }] of Object.entries(kinds)) {
    if (fault !== 'upstream') continue
    assert.equal(outcomes[outcomeOfFailure(name as KindName, 'sent')].maybeBilled, !safeToRepeat, name)
  }
})

test('nothing is repeated once the client has part of the answer', () => {
  for (const kind of ['idle_timeout', 'reply_cut', 'bad_reply', 'total_timeout'] as const) {
    assert.equal(outcomeOfFailure(kind, 'committed'), 'committed')
  }
  assert.equal(outcomes.committed.again, 'none')
  assert.equal(outcomeOfFailure('client_gone', 'committed'), 'client_abort')
})

test('a connection that closed before a byte was written is like none', () => {
  assert.equal(outcomeOfFailure('no_reply', 'connect'), 'connect')
  assert.equal(outcomeOfFailure('no_reply', 'sent'), 'reset')
})

test('after a wait that ran out the same upstream is never asked again', () => {
  assert.equal(outcomes[outcomeOfFailure('first_event_timeout', 'precommit')].again, 'other')
})

test('an upstream that forbids to come back is left alone, others are not', () => {
  assert.equal(againAfter('server', { 'x-should-retry': 'false' }), 'other')
  assert.equal(againAfter('server', {}), 'either')
  assert.equal(againAfter('quota', { 'x-should-retry': 'true' }), 'other')
  assert.equal(againAfter('client', { 'x-should-retry': 'true' }), 'either')
  assert.equal(againAfter('client', {}), 'none')
  assert.equal(againAfter('context', { 'x-should-retry': 'true' }), 'none')
})

test('no body of an error makes the judgement fail', () => {
  const body = fc.oneof(
    fc.json().map((text) => Buffer.from(text)),
    fc.json().map((text) => Buffer.from(`{"error":${text}`)),
    fc.uint8Array({ maxLength: 200 }).map(Buffer.from),
  )
  fc.assert(
    fc.property(fc.integer({ min: 400, max: 599 }), body, (status, start) => {
      assert.ok(outcomeOfReply(status, start) in outcomes)
      assert.ok(outcomeOfErrorEvent(start) in outcomes)
    }),
    { numRuns: 5_000 },
  )
})
