import { randomUUID } from 'node:crypto'
import type { Dialect } from './providerErrors.ts'

export type Headers = Readonly<Record<string, string>>

const requestsPerMinute = 10_000
const tokensPerMinute = 2_000_000

/** Keeps the limits of one key, minute by minute, as their headers show them. Nothing is ever refused. */
export function rateLimits(): (dialect: Dialect, tokens: number) => Headers {
  let minute = 0
  let requests = 0
  let spent = 0
  return (dialect, tokens) => {
    const now = Date.now()
    if (Math.floor(now / 60_000) !== minute) {
      minute = Math.floor(now / 60_000)
      requests = 0
      spent = 0
    }
    requests += 1
    spent += tokens
    const left = { requests: Math.max(0, requestsPerMinute - requests), tokens: Math.max(0, tokensPerMinute - spent) }
    return dialect === 'openai' ? openaiLimits(left, now) : anthropicLimits(left, minute)
  }
}

type Left = { readonly requests: number; readonly tokens: number }

function openaiLimits({ requests, tokens }: Left, now: number): Headers {
  const resetMs = 60_000 - (now % 60_000)
  return {
    'x-ratelimit-limit-requests': String(requestsPerMinute),
    'x-ratelimit-limit-tokens': String(tokensPerMinute),
    'x-ratelimit-remaining-requests': String(requests),
    'x-ratelimit-remaining-tokens': String(tokens),
    'x-ratelimit-reset-requests': `${Math.ceil(60_000 / requestsPerMinute)}ms`,
    'x-ratelimit-reset-tokens': resetMs < 1000 ? `${resetMs}ms` : `${resetMs / 1000}s`,
  }
}

function anthropicLimits({ requests, tokens }: Left, minute: number): Headers {
  const reset = new Date((minute + 1) * 60_000).toISOString().replace('.000Z', 'Z')
  const of = (name: string, limit: number, remaining: number) => ({
    [`anthropic-ratelimit-${name}-limit`]: String(limit),
    [`anthropic-ratelimit-${name}-remaining`]: String(remaining),
    [`anthropic-ratelimit-${name}-reset`]: reset,
  })
  return { ...of('requests', requestsPerMinute, requests), ...of('tokens', tokensPerMinute, tokens) }
}

/** What every answer of the dialect carries. */
export function standardHeaders(dialect: Dialect, startedAt: number): Headers & { readonly id: string } {
  const id = `req_${randomUUID().replaceAll('-', '')}`
  if (dialect === 'anthropic') return { id, 'request-id': id, 'anthropic-organization-id': '00000000-0000-4000-8000-000000000000' }
  return {
    id,
    'x-request-id': id,
    'openai-version': '2020-10-01',
    'openai-organization': 'org-demo',
    'openai-processing-ms': String(Math.max(1, Math.round(performance.now() - startedAt))),
  }
}
