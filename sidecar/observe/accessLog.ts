import type { Call } from '../proxy/call.ts'
import { kinds } from '../proxy/errors.ts'
import { bodyMargin, type Facts, type Tried } from '../proxy/facts.ts'
import { beginningOf, decoder } from '../proxy/llm/coding.ts'
import type { Level } from './log.ts'
import { addedMs } from './metrics.ts'
import { redacted } from './redact.ts'
import { statusOf } from './statusOf.ts'
import { withoutBegun } from './withoutBegun.ts'

export interface AccessLogOptions {
  readonly write: (lines: string) => void
  readonly level: Level
  /** The share of the calls without a failure that get a line. */
  readonly sample: number
  /** The keys that are known by heart: of a logged body, not even an unlikely-looking one may be seen. */
  readonly secrets: () => readonly string[]
  /** What a call cost, in dollars. */
  readonly costOf?: ((facts: Facts) => number | undefined) | undefined
}

/**
 * One JSON line a call, never a key, a query or a word of a prompt. Built by hand, since the general way costs ten times as much, and
 * written once a turn of the event loop: a timer would be one more wake-up for a sidecar that is idle most of the time.
 * Undefined where the level lets no such line through.
 */
export function accessLog({ write, level, sample, secrets, costOf }: AccessLogOptions): ((call: Call) => void) | undefined {
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
    if (!failed && (failuresOnly || !isAmong(sample, call.facts.trace.id))) return
    if (lines === '') setImmediate(flush)
    const more = call.facts.bodies === undefined ? '' : bodies(call, secrets())
    lines += line(call, failed, costOf === undefined ? more : `${cost(costOf(call.facts))}${more}`)
  }
}

/** By the trace, so that all sidecars on the way of a call choose alike: what they log of it belongs together. */
const isAmong = (sample: number, trace: string): boolean => sample >= 1 || Number.parseInt(trace.slice(-8), 16) < sample * 2 ** 32

function line(call: Call, failed: boolean, more: string): string {
  const { id, facts } = call
  const { beganMs, overMs, error, attempts, trace } = facts
  const failure = error === undefined ? '' : `,"error":"${error}","fault":"${kinds[error].fault}"${reason(facts)}`
  return (
    `{"level":"${failed ? 'warn' : 'info'}","time":"${timestamp()}","msg":"call","call":"${id}","trace_id":"${trace.id}","span_id":"${trace.span}"` +
    `${about(call)},"attempts":${attempts}${unasked(facts)}${resumed(facts)}${waited(facts)}${tried(facts)}${unrepeated(facts)},"status":${statusOf(facts)}${failure},"end":"${endOf(facts)}"` +
    `,"queue_ms":${since(beganMs, facts.queuedMs)},"connect_ms":${since(beganMs, facts.connectedMs)}` +
    `,"request_ms":${since(beganMs, facts.sentMs)},"head_ms":${since(beganMs, facts.headMs)}` +
    `,"first_byte_ms":${since(beganMs, facts.firstByteMs)},"total_ms":${round(overMs - beganMs)},"added_ms":${round(addedMs(facts))}` +
    `,"bytes_in":${facts.bytesIn},"bytes_out":${facts.bytesOut}${tokens(facts)}${more}}\n`
  )
}

/** What many calls have in common, and how that was told. */
interface Told {
  readonly method: string
  readonly path: string
  readonly facts: Pick<Facts, 'client' | 'operation' | 'model' | 'stream' | 'upstream' | 'chosenBy' | 'attempts'>
  readonly modelServed: string
  readonly text: string
}

/** The last of them: an app has few models, and a model few upstreams. */
const toldLast: Told[] = []
const mostTold = 8

/** Whose call it was, what it asked for, and who answered. */
function about(call: Call): string {
  const { method, path, facts } = call
  const modelServed = facts.usage?.model ?? ''
  // A canary's share is told of each call by itself, and a path that is none of ours will not come again.
  if (facts.side !== undefined || path === undefined) return aboutInWords(call)
  for (const told of toldLast)
    if (told.path === path && told.modelServed === modelServed && told.method === method && isAlike(told.facts, facts)) return told.text
  const text = aboutInWords(call)
  const { client, operation, model, stream, upstream, chosenBy, attempts } = facts
  if (path.length + model.length + client.length + modelServed.length > longestTold) return text
  if (toldLast.length >= mostTold) toldLast.shift()
  toldLast.push({ method, path, facts: { client, operation, model, stream, upstream, chosenBy, attempts }, modelServed, text })
  return text
}

const longestTold = 512

const isAlike = (one: Told['facts'], other: Facts): boolean =>
  one.upstream === other.upstream &&
  one.model === other.model &&
  one.operation === other.operation &&
  one.stream === other.stream &&
  one.client === other.client &&
  one.chosenBy === other.chosenBy &&
  (one.attempts === 0) === (other.attempts === 0)

function aboutInWords({ method, path, target, facts }: Call): string {
  const client = facts.client === '' ? '' : `,"client":${text(facts.client)}`
  const model = facts.model === '' ? '' : `,"model":${text(facts.model)}`
  const chosen = facts.chosenBy === undefined ? '' : `,"chosen_by":"${facts.chosenBy}"`
  const upstream = facts.attempts === 0 ? chosen : `,"upstream":"${facts.upstream}"${chosen}`
  return (
    `${client},"method":"${method}","path":${text(withoutQuery(path, target))},"operation":"${facts.operation}"${model}${served(facts)}${sideOf(facts)}` +
    `,"stream":${facts.stream}${upstream}`
  )
}

const served = ({ usage }: Facts): string => (usage === undefined || usage.model === '' ? '' : `,"model_served":${text(usage.model)}`)

const unasked = ({ unasked: state }: Facts): string => (state === undefined ? '' : `,"not_asked":"${state}"`)

const resumed = ({ resumed: times }: Facts): string => (times === 0 ? '' : `,"resumed":${times}`)

const waited = ({ waitedMs }: Facts): string => (waitedMs === 0 ? '' : `,"waited_ms":${round(waitedMs)}`)

const unrepeated = ({ unrepeated: why }: Facts): string => (why === undefined ? '' : `,"not_repeated":"${why}"`)

const reason = ({ reason: words }: Facts): string => (words === '' ? '' : `,"reason":${JSON.stringify(words.slice(0, 1_024))}`)

const sideOf = ({ side }: Facts): string =>
  side === undefined ? '' : `,"route":"${side.split.trial.route}","side":"${side.served}","side_chosen":"${side.chosen}"`

function tried(facts: Facts): string {
  const { upstream, answered, headMs, queuedMs, tried: before } = facts
  const ms = headMs - queuedMs
  if (before === undefined) return answered === 0 ? '' : `,"tried":[{"upstream":"${upstream}","outcome":${answered},"ms":${round(ms)}}]`
  const all = answered === 0 ? before : [...before, { upstream, account: facts.account, model: facts.served, outcome: answered, ms }]
  let list = ''
  for (const one of all) {
    const word = typeof one.outcome === 'number' ? one.outcome : `"${one.outcome}"`
    // With a single attempt there is nothing to tell apart.
    const whose = all.length === 1 ? '' : whoseOf(one, facts.model)
    list += `${list === '' ? '' : ','}{"upstream":"${one.upstream}"${whose},"outcome":${word},"ms":${round(one.ms)}}`
  }
  return `,"tried":[${list}]`
}

/** What tells attempts at one upstream apart: whose key it was, and the model where it is not the one that the line names. */
function whoseOf({ account, model }: Tried, named: string): string {
  const key = account === '' ? '' : `,"account":"${account}"`
  return model === '' || model === named ? key : `${key},"model":${text(model)}`
}

function tokens({ usage }: Facts): string {
  if (usage === undefined) return ''
  const { input, output, cached, reasoning } = usage
  return `${counted('tokens_in', input)}${counted('tokens_out', output)}${counted('tokens_cached', cached)}${counted('tokens_reasoning', reasoning)}`
}

const counted = (name: string, tokens: number): string => (tokens < 0 ? '' : `,"${name}":${tokens}`)

const cost = (dollars: number | undefined): string => (dollars === undefined ? '' : `,"cost_usd":${dollars}`)

/** Only where the config asks for them, and never with a key in them. */
function bodies({ facts: { bodies: kept }, wishes }: Call, secrets: readonly string[]): string {
  if (kept === undefined) return ''
  const known = wishes.key === undefined ? secrets : [...secrets, wishes.key]
  const enough = kept.most + bodyMargin
  const shown = (name: string, bytes: Buffer, isPart: boolean): string => {
    if (bytes.length === 0) return ''
    const safe = Buffer.from(withoutBegun(redacted(bytes.toString('utf8', 0, enough), known), known))
    // What stands at the end of a part may be the beginning of a key that nobody can know as one.
    const end = isPart || bytes.length >= enough ? safe.length - bodyMargin : safe.length
    return `,"${name}":${JSON.stringify(safe.toString('utf8', 0, Math.max(0, Math.min(kept.most, end))))}`
  }
  const request = shown('request_body', kept.request ?? none, false)
  const reply = Buffer.concat(kept.reply)
  const whole = kept.coding === '' ? reply : decoder(kept.coding)?.(reply)
  return request + shown('reply_body', whole ?? beginningOf(kept.coding, reply), whole === undefined)
}

const none = Buffer.alloc(0)

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
/** Printing a fraction costs more than printing two whole numbers, and the one behind the point is one of a hundred. */
const fractions: readonly string[] = Array.from({ length: 100 }, (_, n) => (n === 0 ? '' : `.${String(n).padStart(2, '0')}`))
function round(ms: number): string {
  const hundredths = ms > 0 ? Math.round(ms * 100) : 0
  const rest = hundredths % 100
  return `${(hundredths - rest) / 100}${fractions[rest] ?? ''}`
}

/** A query may carry a key. */
const withoutQuery = (path: string | undefined, target: string): string => {
  // The wrong path is what somebody looks for who wonders about a 404; a whole URL may hold a password.
  const whole = path === undefined || path === '' ? target.replace(/^[^/].*/s, '') : `/v1${path}`
  const query = whole.indexOf('?')
  return query < 0 ? whole : whole.slice(0, query)
}

const text = (value: string): string => JSON.stringify(value.slice(0, 1_024))

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
