/** Who has to act on a failure: the app, the model's provider, or whoever runs this sidecar. */
export type Fault = 'client' | 'upstream' | 'sidecar'

interface Kind {
  readonly status: number
  readonly fault: Fault
  /** True only when the model cannot have begun to work on the call: repeating it cannot bill twice. */
  readonly safeToRepeat: boolean
  /** The same call would fail again: clients are told not to repeat it. */
  readonly permanent: boolean
  /** One sentence for the person who meets it. */
  readonly meaning: string
}

const kind = (status: number, fault: Fault, marks: string, meaning: string): Kind => ({
  status,
  fault,
  safeToRepeat: marks.includes('safe'),
  permanent: marks.includes('permanent'),
  meaning,
})

/** Every failure Outrider can answer with. Answers, metrics, docs and tests read this table; add a row, not a branch. */
export const kinds = {
  bad_request: kind(400, 'client', 'permanent', 'The request is not HTTP that can be passed on safely.'),
  unauthorized: kind(401, 'client', 'permanent', 'The client showed no key, or one that is not among the configured clients.'),
  not_found: kind(404, 'client', 'permanent', 'Only paths under /v1 are served here.'),
  client_timeout: kind(408, 'client', '', 'The client stopped sending before its request was whole.'),
  body_too_large: kind(413, 'client', 'permanent', 'The request body is larger than the configured limit.'),
  expectation_failed: kind(417, 'client', 'permanent', 'The request expects something other than 100-continue.'),
  header_too_large: kind(431, 'client', 'permanent', 'The request header is larger than the configured limit.'),
  client_gone: kind(499, 'client', '', 'The client closed its connection before the answer was whole.'),
  internal: kind(500, 'sidecar', '', 'A defect of Outrider. The log names it under the same call id.'),
  proxy_overloaded: kind(503, 'sidecar', 'safe', 'As many calls, or bytes, as configured are already in flight.'),
  draining: kind(503, 'sidecar', 'safe', 'Outrider is shutting down and its grace is nearly over.'),
  no_credential: kind(503, 'sidecar', 'safe', 'The key for the upstream is missing or cannot be used.'),
  no_upstream: kind(503, 'upstream', 'safe', 'None of the upstreams that have this model can be used now.'),
  pool_timeout: kind(504, 'sidecar', 'safe', 'All connections to the upstream stayed busy.'),
  dns_failed: kind(502, 'upstream', 'safe', 'The name of the upstream could not be resolved.'),
  connect_failed: kind(502, 'upstream', 'safe', 'No connection to the upstream could be opened.'),
  connect_timeout: kind(504, 'upstream', 'safe', 'Opening a connection to the upstream took too long.'),
  tls_failed: kind(502, 'upstream', 'safe', 'The TLS handshake with the upstream failed.'),
  egress_failed: kind(502, 'upstream', 'safe', 'The HTTP proxy on the way to the upstream refused or failed.'),
  write_timeout: kind(504, 'upstream', '', 'The upstream stopped taking the request.'),
  first_event_timeout: kind(504, 'upstream', '', 'The upstream sent no event of the stream in time.'),
  idle_timeout: kind(504, 'upstream', '', 'The upstream went silent in the middle of its answer.'),
  total_timeout: kind(504, 'upstream', '', 'The answer was not whole within the total time allowed.'),
  stale_connection: kind(502, 'upstream', 'safe', 'A kept connection had been closed by the upstream before it was used again.'),
  no_reply: kind(502, 'upstream', '', 'The upstream closed the connection without an answer; it may have worked on the call.'),
  bad_reply: kind(502, 'upstream', '', 'What the upstream sent is not a usable HTTP answer.'),
  reply_cut: kind(502, 'upstream', '', 'The answer of the upstream broke off before it was whole.'),
} as const satisfies Record<string, Kind>

export type KindName = keyof typeof kinds

/** A failure with its kind. Foreign errors become one of these at the border that knows them, and nowhere else. */
export class SidecarError extends Error {
  override readonly name = 'SidecarError'
  readonly kind: KindName
  /** How long the client should wait before it asks again. */
  readonly retryAfterMs: number | undefined
  /** What else the answer says, beside the message. */
  readonly details: Readonly<Record<string, unknown>> | undefined

  constructor(kind: KindName, message: string, options: ErrorOptions & Details = {}) {
    super(message, options)
    this.kind = kind
    this.retryAfterMs = options.retryAfterMs
    this.details = options.details
  }
}

interface Details {
  readonly retryAfterMs?: number
  readonly details?: Readonly<Record<string, unknown>>
}

/** What nobody translated is a defect of ours, and says so. */
export function asSidecarError(err: unknown): SidecarError {
  return err instanceof SidecarError ? err : new SidecarError('internal', 'Outrider failed in a way it should not', { cause: err })
}
