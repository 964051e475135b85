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
  write_timeout: kind(504, 'upstream', 'safe', 'The upstream stopped taking the request.'),
  first_event_timeout: kind(504, 'upstream', '', 'The upstream sent no event of the stream in time.'),
  idle_timeout: kind(504, 'upstream', '', 'The upstream went silent in the middle of its answer.'),
  total_timeout: kind(504, 'upstream', '', 'The answer was not whole within the total time allowed.'),
  stale_connection: kind(502, 'upstream', 'safe', 'A kept connection had been closed by the upstream before it was used again.'),
  no_reply: kind(502, 'upstream', '', 'The upstream closed the connection without an answer; it may have worked on the call.'),
  bad_reply: kind(502, 'upstream', '', 'What the upstream sent is not a usable HTTP answer.'),
  reply_cut: kind(502, 'upstream', '', 'The answer of the upstream broke off before it was whole.'),
} as const satisfies Record<string, Kind>

export type KindName = keyof typeof kinds

/** What the person who meets a failure can do about it. */
export const actions: Readonly<Record<KindName, string>> = {
  bad_request:
    'Look at the message for the shape that was refused, and at what wrote it: a client made by hand, or a proxy between the app and the sidecar.',
  unauthorized: 'Give the app the key of one of the configured `clients`, or add its key there.',
  not_found: 'Let the base URL of the app end in `/v1`, once.',
  client_timeout: 'Find out why the app stopped in the middle of its request; raise `timeouts.clientBody` if its link is that slow.',
  body_too_large:
    'Send less, or raise `limits.jsonBody`, `limits.uploadBody` or `limits.memory`, whichever the message names; the provider has a limit of its own.',
  expectation_failed: 'Leave the `Expect` header out.',
  header_too_large: 'Send fewer or shorter headers, or raise `limits.header` or `limits.headers`.',
  client_gone: "Nothing, when a person pressed stop. If it happens often, the app's own timeout is shorter than the answers take.",
  internal: 'Look up the call id in the log and report the stack that stands there as a bug.',
  proxy_overloaded: 'Repeat after `retry-after`. If it happens often, raise `limits.inFlight` or `limits.memory`, or run more pods.',
  draining:
    "Nothing here: the app beside it ends too, and who asked that gets another pod by asking again. If long calls are cut, raise `drain.grace` and the pod's `terminationGracePeriodSeconds`.",
  no_credential: 'Mount the key where `credentials` says, or set its variable; the log says what is wrong with it.',
  no_upstream: 'Look at the states in the answer: each says what is wrong with its upstream, and when it will be tried again.',
  pool_timeout: 'Raise `connections` of the upstream, or send fewer calls at a time.',
  dns_failed: "Check the host in the upstream's `url`, and the pod's DNS; `addresses` or `network.hostAliases` go around it.",
  connect_failed: "Check host and port in the upstream's `url`, network policies, and whether a proxy is needed (`network.httpsProxy`).",
  connect_timeout: 'Check whether a firewall or a network policy drops packets to the upstream; raise `timeouts.connect` for a far one.',
  tls_failed: 'Name the certificate authority in `tls.ca` or `network.ca` if it is a private one; check the host name in `url`.',
  egress_failed: "Check address and login of the proxy in `network.httpsProxy`, and whether it allows the upstream's host.",
  write_timeout: 'Check the path to the upstream for lost packets, a wrong MTU above all.',
  first_event_timeout: "Look at the provider's status; for a model that thinks longer, raise `timeouts.firstEvent`.",
  idle_timeout: "Repeat, and look at the provider's status; for a model that pauses longer, raise `timeouts.idle`.",
  total_timeout:
    "Ask for a stream, or for less; for calls that long, raise `timeouts.total` or `timeouts.streamTotal`, and the client's own.",
  stale_connection: 'Repeat. If it happens often, set `timeouts.upstreamIdle` below the time after which the upstream closes.',
  no_reply: "Look into the upstream's log before repeating: the call may be billed twice.",
  bad_reply: "Check that the upstream's `url` is that of an HTTP API, and nothing in between spoils its answers.",
  reply_cut: "Repeat. If it happens often, something between here and the model ends long answers, or the model's server restarts.",
}

/** A failure with its kind. Foreign errors become one of these at the border that knows them, and nowhere else. */
export class SidecarError extends Error {
  override readonly name = 'SidecarError'
  readonly kind: KindName
  /** How long the client should wait before it asks again. */
  readonly retryAfterMs: number | undefined
  /** What else the answer says, beside the message. */
  readonly details: Readonly<Record<string, unknown>> | undefined
  /** The same call would fail again, here even where others of its kind would not. */
  readonly permanent: boolean
  /** The message repeats what the client wrote: it is for the client, and not for the log. */
  readonly quotes: boolean

  constructor(kind: KindName, message: string, options: ErrorOptions & Details = {}) {
    super(message, options)
    this.kind = kind
    this.retryAfterMs = options.retryAfterMs
    this.details = options.details
    this.permanent = options.permanent ?? kinds[kind].permanent
    this.quotes = options.quotes ?? false
  }
}

interface Details {
  readonly retryAfterMs?: number
  readonly details?: Readonly<Record<string, unknown>>
  readonly permanent?: boolean
  readonly quotes?: boolean
}

/** What nobody translated is a defect of ours, and says so. */
export function asSidecarError(err: unknown): SidecarError {
  return err instanceof SidecarError
    ? err
    : new SidecarError('internal', 'a defect of its own; its log has the stack under the id of this call', { cause: err })
}
