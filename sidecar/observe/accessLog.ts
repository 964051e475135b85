import type { Call, Facts } from '../proxy/call.ts'
import { kinds } from '../proxy/errors.ts'
import type { Level } from './log.ts'
import { statusOf } from './statusOf.ts'

export interface AccessLogOptions {
  readonly now: () => number
  readonly write: (lines: string) => void
  readonly level: Level
}

/**
 * One JSON line a call, never a key, a query or a word of a prompt. Built by hand, since the general way costs ten times as much, and
 * written once a turn of the event loop: a timer would be one more wake-up for a sidecar that is idle most of the time.
 * Undefined where the level lets no such line through.
 */
export function accessLog({ now, write, level }: AccessLogOptions): ((call: Call) => void) | undefined {
  if (level === 'error' || level === 'fatal' || level === 'silent') return undefined
  const failuresOnly = level === 'warn'
  let lines = ''
  const flush = (): void => {
    const all = lines
    lines = ''
    write(all)
  }
  return (call) => {
    const status = statusOf(call.facts)
    const failed = call.facts.error !== undefined || status >= 400
    if (failuresOnly && !failed) return
    if (lines === '') setImmediate(flush)
    lines += line(call, status, failed, now())
  }
}

function line({ id, method, path, facts }: Call, status: number, failed: boolean, now: number): string {
  const { beganMs, error, attempts } = facts
  const failure = error === undefined ? '' : `,"error":"${error}","fault":"${kinds[error].fault}"`
  const client = facts.client === '' ? '' : `,"client":${text(facts.client)}`
  const model = facts.model === '' ? '' : `,"model":${text(facts.model)}`
  const upstream = attempts === 0 ? '' : `,"upstream":"${facts.upstream}"`
  return (
    `{"level":"${failed ? 'warn' : 'info'}","time":"${timestamp()}","msg":"call","call":"${id}"${client},"method":"${method}"` +
    `,"path":${text(withoutQuery(path))},"operation":"${facts.operation}"${model},"stream":${facts.stream}${upstream}` +
    `,"attempts":${attempts},"status":${status}${failure},"end":"${endOf(facts)}"` +
    `,"connect_ms":${since(beganMs, facts.connectedMs)},"request_ms":${since(beganMs, facts.sentMs)},"head_ms":${since(beganMs, facts.headMs)}` +
    `,"first_byte_ms":${since(beganMs, facts.firstByteMs)},"total_ms":${round(now - beganMs)}` +
    `,"bytes_in":${facts.bytesIn},"bytes_out":${facts.bytesOut}}\n`
  )
}

/** How a call ended for the client: whole, or in which of the ways in which it can fail. */
export function endOf({ error, status, attempts }: Facts): 'complete' | 'client_gone' | 'timeout' | 'cut' | 'refused' | 'failed' {
  if (error === undefined) return 'complete'
  if (error === 'client_gone') return 'client_gone'
  if (error.endsWith('_timeout')) return 'timeout'
  // The head had gone out with another status before the failure came.
  if (status !== 0 && status !== kinds[error].status) return 'cut'
  return attempts === 0 || kinds[error].fault === 'client' ? 'refused' : 'failed'
}

const since = (from: number, to: number): string => (to === 0 ? 'null' : round(to - from))
/** Printing a fraction costs more than printing two whole numbers. */
function round(ms: number): string {
  const hundredths = Math.round(ms * 100)
  const rest = hundredths % 100
  const whole = (hundredths - rest) / 100
  return rest === 0 ? `${whole}` : `${whole}.${rest < 10 ? '0' : ''}${rest}`
}

/** A query may carry a key. */
const withoutQuery = (path: string | undefined): string => {
  if (path === undefined) return ''
  const query = path.indexOf('?')
  return `/v1${query < 0 ? path : path.slice(0, query)}`
}

/** Names and paths come again and again: what was quoted once is remembered, as long as it is little. */
const quoted = new Map<string, string>()

function text(value: string): string {
  const known = quoted.get(value)
  if (known !== undefined) return known
  const made = JSON.stringify(value.slice(0, 1_024))
  if (quoted.size < 256 && value.length < 128) quoted.set(value, made)
  return made
}

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
