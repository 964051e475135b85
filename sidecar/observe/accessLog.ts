import type { Call } from '../proxy/call.ts'
import { kinds } from '../proxy/errors.ts'

export interface AccessLogOptions {
  readonly now: () => number
  readonly write: (lines: string) => void
}

/**
 * One JSON line a call, never a key, a query or a word of a prompt. Built by hand, since the general way costs ten times as much, and
 * written once a turn of the event loop: a timer would be one more wake-up for a sidecar that is idle most of the time.
 */
export function accessLog({ now, write }: AccessLogOptions): (call: Call) => void {
  let lines = ''
  const flush = (): void => {
    write(lines)
    lines = ''
  }
  return (call) => {
    if (lines === '') setImmediate(flush)
    lines += line(call, now())
  }
}

function line({ id, method, path, facts }: Call, now: number): string {
  const { beganMs, error, attempts } = facts
  const failed = error === undefined ? '' : `,"error":"${error}","fault":"${kinds[error].fault}"`
  const client = facts.client === '' ? '' : `,"client":${text(facts.client)}`
  const model = facts.model === '' ? '' : `,"model":${text(facts.model)}`
  const upstream = attempts === 0 ? '' : `,"upstream":"${facts.upstream}"`
  return (
    `{"level":"${error === undefined ? 'info' : 'warn'}","time":"${timestamp()}","msg":"call","call":"${id}"${client},"method":"${method}"` +
    `,"path":${text(withoutQuery(path))},"operation":"${facts.operation}"${model},"stream":${facts.stream}${upstream}` +
    `,"attempts":${attempts},"status":${facts.status}${failed},"end":"${endOf(facts)}"` +
    `,"connect_ms":${since(beganMs, facts.connectedMs)},"head_ms":${since(beganMs, facts.headMs)}` +
    `,"first_byte_ms":${since(beganMs, facts.firstByteMs)},"total_ms":${round(now - beganMs)}` +
    `,"bytes_in":${facts.bytesIn},"bytes_out":${facts.bytesOut}}\n`
  )
}

function endOf({ error, firstByteMs, headMs }: Call['facts']): string {
  if (error === undefined) return 'complete'
  if (error === 'client_gone') return 'client_gone'
  if (kinds[error].fault === 'client') return 'refused'
  if (error.endsWith('_timeout')) return 'timeout'
  return headMs > 0 && firstByteMs > 0 && error === 'reply_cut' ? 'cut' : 'failed'
}

const since = (from: number, to: number): string => (to === 0 ? 'null' : round(to - from))
const round = (ms: number): string => String(Math.round(ms * 100) / 100)

/** A query may carry a key. */
const withoutQuery = (path: string | undefined): string => {
  if (path === undefined) return ''
  const query = path.indexOf('?')
  return `/v1${query < 0 ? path : path.slice(0, query)}`
}

/** Only text that needs no escaping is copied as it is. */
const text = (value: string): string =>
  value.length < 256 && /^[\w ./:@+-]*$/.test(value) ? `"${value}"` : JSON.stringify(value.slice(0, 1_024))

let second = 0
let prefix = ''

/** A date is formatted once a second, not once a call. */
function timestamp(): string {
  const ms = Date.now()
  const whole = Math.floor(ms / 1_000)
  if (whole !== second) {
    second = whole
    prefix = new Date(whole * 1_000).toISOString().slice(0, 20)
  }
  return `${prefix}${String(ms % 1_000).padStart(3, '0')}Z`
}
