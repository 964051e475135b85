export interface About {
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly labels: readonly string[]
  readonly help: string
}

const counter = (help: string, ...labels: string[]): About => ({ type: 'counter', help, labels })
const gauge = (help: string, ...labels: string[]): About => ({ type: 'gauge', help, labels })
const histogram = (help: string, ...labels: string[]): About => ({ type: 'histogram', help, labels })

const genAi = [
  'gen_ai_operation_name',
  'gen_ai_provider_name',
  'gen_ai_request_model',
  'gen_ai_response_model',
  'server_address',
  'server_port',
]

/** Every metric there is. The code, the README's table and the tests read it: a metric that is not here cannot be made. */
export const catalogue = {
  outrider_calls_total: counter('Calls that are over, by operation and the status the client got.', 'operation', 'status'),
  outrider_errors_total: counter('Failures told to clients, by kind and by whose fault they are.', 'kind', 'fault'),
  outrider_attempts_total: counter('Attempts made at an upstream.', 'upstream'),
  outrider_attempts_failed_total: counter(
    'Attempts that failed, by the status or the kind of failure they came to, also where another attempt had the answer.',
    'upstream',
    'outcome',
  ),
  outrider_first_byte_seconds: histogram('Time to the first byte of the answer, as the client saw it.', 'operation'),
  outrider_added_seconds: histogram(
    'Time that Outrider itself added to a call, and to its first byte, which of a stream is its first event: without the waits for the client, a connection and the upstream, and between attempts.',
    'to',
  ),
  outrider_tokens_total: counter('Tokens that answers told of: input, output, and of these cached and reasoning.', 'model', 'type'),
  outrider_bytes_total: counter('Bytes of bodies taken from clients and given to them.', 'direction'),
  outrider_in_flight: gauge('Calls in flight.'),
  outrider_websockets: gauge('WebSockets open.'),
  outrider_held_bytes: gauge('Bytes of request bodies held in memory.'),
  outrider_connections: gauge('Connections to the upstream, and calls that wait for one.', 'state'),
  outrider_upstream_state: gauge(
    '1 for the state that an upstream is in, 0 for all others; failing is one that is in use only for want of others.',
    'upstream',
    'state',
  ),
  outrider_upstream_changes_total: counter(
    'Changes of the state of an upstream, each counted once, by the state it came to.',
    'upstream',
    'state',
  ),
  outrider_checks_total: counter('Checks that an upstream was asked for, good or failed.', 'upstream', 'result'),
  outrider_retries_refused_total: counter('Attempts that would have been allowed by the failure before them, and were not made.', 'reason'),
  outrider_resumes_total: counter(
    'Attempts that took up a stream which had broken off, by the way they did it, and whether it went well.',
    'way',
    'result',
  ),
  outrider_canary_calls_total: counter(
    'Calls of routes with a canary, by the side that was chosen for them and how their first attempt there came out.',
    'route',
    'side',
    'result',
  ),
  outrider_canary_weight: gauge('Of a hundred calls of a route, how many go to its canary.', 'route'),
  outrider_canary_state: gauge('1 for the state that the canary of a route is in, 0 for all others.', 'route', 'state'),
  outrider_canary_rollbacks_total: counter('Times the canary of a route was rolled back, by itself or by hand.', 'route'),
  outrider_pins: gauge('Ids of files, responses and the like of which it is known which account made them.'),
  outrider_sockets: gauge('TCP sockets open, of clients, upstreams and scrapers together.'),
  outrider_log_lines_dropped_total: counter('Log lines lost because nobody took them from standard output.'),
  outrider_event_loop_lag_seconds: gauge('How late the event loop came to what was due, asked at the scrape.'),
  outrider_event_loop_busy_seconds_total: counter('Time in which the event loop had work; its rate is the share of one core in use.'),
  outrider_memory_bytes: gauge('Memory of the JavaScript engine, by kind.', 'kind'),
  outrider_config_reload_total: counter('Times the config was read again: applied, unchanged, or refused as a whole.', 'result'),
  outrider_config_last_success_timestamp_seconds: gauge('When the config was last read and found good, since the epoch.'),
  outrider_config_info: gauge('Always 1; the label tells configs apart.', 'hash'),
  gen_ai_client_operation_duration_seconds: histogram(
    'Duration of a call to its last byte, as OpenTelemetry names it.',
    ...genAi,
    'error_type',
  ),
  gen_ai_client_operation_time_to_first_chunk_seconds: histogram('Time to the first event of a stream.', ...genAi),
  gen_ai_client_operation_time_per_output_chunk_seconds: histogram(
    'Time from the first event of a stream to its end, for each piece after the first in which it reached us.',
    ...genAi,
  ),
  gen_ai_server_request_duration_seconds: histogram(
    "Time from a request's last byte to the last byte of its answer, of the last attempt of a call.",
    ...genAi,
    'error_type',
  ),
  gen_ai_server_time_to_first_token_seconds: histogram("Time from a request's last byte to the first event of its stream.", ...genAi),
  gen_ai_server_time_per_output_token_seconds: histogram(
    'Time from the first event of a stream to its end, for each token after the first.',
    ...genAi,
  ),
  gen_ai_client_token_usage: histogram('Tokens of a call, input or output.', ...genAi, 'gen_ai_token_type'),
  gateway_requests_total: counter('Calls that are over, by model and status.', 'model', 'status'),
  gateway_request_duration_seconds: histogram('Duration of a call to its last byte, by model.', 'model'),
  gateway_model_errors_total: counter('Calls that failed, by model and kind or status.', 'model', 'error_type'),
  router_selections_total: counter('Calls that were sent to an upstream, by model.', 'model'),
  router_errors_total: counter('Calls that found no usable upstream, by model and kind.', 'model', 'error'),
  ai_requests_per_second: gauge('Calls that ended per second, over the last minute; without those of /health and /v1/stats.'),
  process_resident_memory_bytes: gauge('Resident memory of the process.'),
  process_cpu_seconds_total: counter('Processor time used, user and system.'),
  process_open_fds: gauge('File descriptors open.'),
  process_start_time_seconds: gauge('Start of the process since the epoch.'),
} as const satisfies Record<string, About>

export type MetricName = keyof typeof catalogue

/** A model may think for minutes, and a local one answers in milliseconds. */
export const durations = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600]
/** What we add is counted in microseconds, and a second of it is a defect. */
export const additions = [0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1]
/** As OpenTelemetry lists them. */
export const genAiDurations = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92]
export const genAiFirstTokens = [0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 15, 20, 30, 45, 60]
export const genAiEachToken = [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5]
export const genAiTokens = [1, 4, 16, 64, 256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216, 67_108_864]
