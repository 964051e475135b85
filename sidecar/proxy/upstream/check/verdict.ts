import type { Headers } from '../../call.ts'

/** Whether an answer with this head is one of an upstream that is there. */
export type Verdict = (status: number, headers: Headers) => boolean

/**
 * Of the list of models. Who refuses it, limits it, has moved it or has none is there; its calls alone tell more. A page in place of a list
 * comes from something that stands before the upstream.
 */
export const ofModels: Verdict = (status, headers) => {
  if (status < 300) return !/^text\/html\b/i.test(String(headers['content-type'] ?? ''))
  // Not implemented is no failure, and overloaded is no outage: calls know how long to wait.
  return status < 500 ? status !== requestTimeout : status === notImplemented || status === overloaded
}

/** Of a path that somebody chose for its answer. */
export const ofPath: Verdict = (status) => status < 400

const requestTimeout = 408
const notImplemented = 501
/** Anthropic's own. */
const overloaded = 529
