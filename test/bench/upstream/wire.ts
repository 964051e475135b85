/** What the fake model and the load say to each other: prebuilt bytes, so that neither costs more than the proxy between them. */

export const upstreamKey = 'sk-bench-0123456789'

const crlf = '\r\n'

/** About what a hosted model answers with: 18 headers, 1.5 KB of JSON. Four of the headers are different in each, as they are of a real one. */
export const answers: readonly Buffer[] = Array.from({ length: 64 }, (_, index) =>
  message(
    ['HTTP/1.1 200 OK', 'Content-Type: application/json', ...commonHeaders(index)],
    fill(
      (text) =>
        JSON.stringify({
          id: `chatcmpl-bench0123456789abcd${10 + index}`,
          object: 'chat.completion',
          created: 1_790_000_000 + index,
          model: 'gpt-bench',
          choices: [{ index: 0, message: { role: 'assistant', content: text, refusal: null }, logprobs: null, finish_reason: 'stop' }],
          usage: {
            prompt_tokens: 211,
            completion_tokens: 210 + index,
            total_tokens: 421 + index,
            prompt_tokens_details: { cached_tokens: 0 },
          },
          service_tier: 'default',
          system_fingerprint: 'fp_bench',
        }),
      1_500,
    ),
  ),
)

export const streamHead: Buffer = Buffer.from(
  ['HTTP/1.1 200 OK', 'Content-Type: text/event-stream; charset=utf-8', ...commonHeaders(), 'Transfer-Encoding: chunked', '', ''].join(
    crlf,
  ),
)

/** One event of 180 bytes, in the chunked coding. */
export const streamEvent: Buffer = chunk(
  fill(
    (text) =>
      `data: ${JSON.stringify({ id: 'chatcmpl-bench', object: 'chat.completion.chunk', model: 'gpt-bench', choices: [{ index: 0, delta: { content: text } }] })}\n\n`,
    180,
  ),
)

export const streamEnd: Buffer = Buffer.concat([chunk('data: [DONE]\n\n'), Buffer.from(`0${crlf}${crlf}`)])

export const refusal: Buffer = message(
  ['HTTP/1.1 401 Unauthorized', 'Content-Type: application/json'],
  '{"error":{"message":"the proxy did not set the key of the upstream","type":"invalid_request_error"}}',
)

/** A call of about 1 KB. A stream names its length and pace in the metadata, which every proxy passes on. */
export function callBody(stream: { events: number; everyMs: number } | null): string {
  return fill(
    (text) =>
      JSON.stringify({
        model: 'gpt-bench',
        messages: [
          { role: 'system', content: 'You are a terse assistant.' },
          { role: 'user', content: text },
        ],
        temperature: 0.2,
        max_tokens: 512,
        ...(stream && { stream: true, metadata: { events: String(stream.events), everyMs: String(stream.everyMs) } }),
      }),
    1_024,
  )
}

/** A whole request as the official JavaScript client writes it, apart from `extra`. */
export function requestBytes(body: string, key: string, extra: Readonly<Record<string, string>> = {}): Buffer {
  return message(
    [
      'POST /v1/chat/completions HTTP/1.1',
      'Host: 127.0.0.1',
      'Accept: application/json',
      'Content-Type: application/json',
      'User-Agent: OpenAI/JS 7.55.0',
      'X-Stainless-Lang: js',
      'X-Stainless-Package-Version: 7.55.0',
      'X-Stainless-OS: Linux',
      'X-Stainless-Arch: x64',
      'X-Stainless-Runtime: node',
      'X-Stainless-Runtime-Version: v26.10.0',
      'X-Stainless-Retry-Count: 0',
      `Authorization: Bearer ${key}`,
      'Connection: keep-alive',
      ...Object.entries(extra).map(([name, value]) => `${name}: ${value}`),
    ],
    body,
  )
}

function message(lines: readonly string[], body: string): Buffer {
  return Buffer.from([...lines, `Content-Length: ${Buffer.byteLength(body)}`, '', body].join(crlf))
}

function chunk(text: string): Buffer {
  return Buffer.from(`${Buffer.byteLength(text).toString(16)}${crlf}${text}${crlf}`)
}

/** The text that `around` makes of just as many words as bring it to `bytes`. */
function fill(around: (text: string) => string, bytes: number): string {
  const missing = Math.max(0, bytes - around('').length)
  return around('the quick brown fox jumps over the lazy dog '.repeat(Math.ceil(missing / 44)).slice(0, missing))
}

function commonHeaders(index = 0): string[] {
  return [
    `Date: Fri, 20 Nov 2026 12:00:${10 + (index >> 1)} GMT`,
    'Connection: keep-alive',
    'Server: bench',
    'Access-Control-Expose-Headers: X-Request-ID',
    'OpenAI-Organization: bench',
    `OpenAI-Processing-Ms: ${412 + index}`,
    'OpenAI-Version: 2020-10-01',
    'X-Ratelimit-Limit-Requests: 10000',
    'X-Ratelimit-Limit-Tokens: 2000000',
    'X-Ratelimit-Remaining-Requests: 9999',
    `X-Ratelimit-Remaining-Tokens: ${1_999_744 - index}`,
    'X-Ratelimit-Reset-Requests: 6ms',
    'X-Ratelimit-Reset-Tokens: 7ms',
    `X-Request-ID: req_bench0123456789abcd${10 + index}`,
    'Strict-Transport-Security: max-age=31536000; includeSubDomains',
    'X-Content-Type-Options: nosniff',
  ]
}
