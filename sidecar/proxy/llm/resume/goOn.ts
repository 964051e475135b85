import { spliced, type Splice } from '../edit.ts'
import { eachMember } from '../members.ts'
import type { Operation } from '../operation.ts'
import { inputWith, isOpenEnded, mayBeTakenUp } from './goOnInput.ts'
import { lastOf } from './lastOf.ts'
import { noSeam, type Seam } from './seam.ts'

/** How an upstream is asked to go on from a beginning of an assistant's answer. */
export type Continues = 'off' | 'assistant' | 'prefix' | 'echoed_prefix' | 'partial' | 'continue_final_message'

/** Beside the message that is to be gone on with, and beside all messages. */
const marks: Readonly<Record<Continues, readonly [string, string]>> = {
  off: ['', ''],
  assistant: ['', ''],
  prefix: [',"prefix":true', ''],
  echoed_prefix: [',"prefix":true', ''],
  partial: [',"partial":true', ''],
  continue_final_message: ['', '"continue_final_message":true,"add_generation_prompt":false,'],
}

type Values = ReadonlyMap<string, readonly [from: number, to: number]>

/** What a request says that bears on going on with its answer. */
export interface Request {
  readonly operation: Operation
  readonly body: Buffer
  readonly values: Values
  /** Behind the opening brace. */
  readonly start: number
}

const structures = 'guided_json guided_regex guided_choice guided_grammar structured_outputs output_format output_config'.split(' ')
const bearing = new Set([
  ...'n best_of logprobs top_logprobs echo suffix audio modalities response_format thinking'.split(' '),
  ...'messages prompt max_tokens max_completion_tokens continue_final_message add_generation_prompt'.split(' '),
  ...'input max_output_tokens include text reasoning background store previous_response_id conversation'.split(' '),
  ...structures,
])

/** Undefined where the answer cannot be taken up in the middle: several answers, or what cannot be matched by its text. */
export function resumableRequest(operation: Operation, body: Buffer): Request | undefined {
  const values = new Map<string, readonly [number, number]>()
  const place = eachMember(body, (name, from, to) => {
    if (bearing.has(name)) values.set(name, [from, to])
  })
  if (place === undefined) return undefined
  const request = { operation, body, values, start: place.at }
  if (operation === 'responses') return mayBeTakenUp((name) => raw(request, name)) ? request : undefined
  for (const name of ['n', 'best_of']) if (!/^(?:|null|1)$/.test(raw(request, name))) return undefined
  for (const name of ['logprobs', 'top_logprobs', 'echo', 'audio']) if (!/^(?:|null|false)$/.test(raw(request, name))) return undefined
  if (/"audio"/.test(raw(request, 'modalities'))) return undefined
  // One prompt may be many.
  if (operation === 'completions' && !raw(request, 'prompt').startsWith('"')) return undefined
  return request
}

function raw({ body, values }: Request, name: string): string {
  const at = values.get(name)
  return at === undefined ? '' : body.toString('utf8', at[0], Math.min(at[1], at[0] + 4_096))
}

export interface GoingOn {
  readonly body: Buffer
  readonly seam: Seam
  /** Characters that the upstream is given to go on from. */
  readonly prefix: number
}

/** The same request once more: its answer is to say again what has been said. */
export const askedAgain = ({ body }: Request, text: string): GoingOn => ({ body, seam: { text, at: 0, strict: true }, prefix: 0 })

/** Whether any upstream could be asked to go on. A grammar, a thought or a beginning of the client's own would begin anew. */
export function canGoOn(request: Request): boolean {
  const { operation, values } = request
  if (operation === 'completions') return /^(?:|null|"")$/.test(raw(request, 'suffix'))
  if (structures.some((name) => !/^(?:|null)$/.test(raw(request, name)))) return false
  if (operation === 'responses')
    return isOpenEnded((name) => raw(request, name)) && inputWith(request.body, values.get('input'), '') !== undefined
  if (/"json_/.test(raw(request, 'response_format'))) return false
  if (/"(?:enabled|adaptive)"/.test(raw(request, 'thinking'))) return false
  if (values.has('continue_final_message') || values.has('add_generation_prompt')) return false
  const role = roleOfLast(request)
  return role !== undefined && role !== 'assistant'
}

/** The request with what has been said as the beginning of its answer; undefined where the upstream cannot be asked so. */
export function goingOn(request: Request, text: string, continues: Continues): GoingOn | undefined {
  if (!knows(request.operation, continues)) return undefined
  const { kept, cut } = keptOf(text, request.operation)
  if (kept === '') return undefined
  const splices = splicesWith(request, kept, continues)
  if (splices === undefined) return undefined
  splices.push(...lessTokens(request, kept))
  const echoes = request.operation === 'chat' && continues === 'echoed_prefix'
  const isHalf = endsInHalf(text)
  const seam = echoes ? { text: kept + cut, at: 0, strict: true } : cut === '' ? { ...noSeam } : { text: cut, at: 0, strict: isHalf }
  return { body: spliced(request.body, splices), seam, prefix: kept.length }
}

/**
 * Whether what is said of an upstream holds for such a call too. Of Responses vLLM alone is known to go on, and nothing in the answer of another
 * would tell that it had begun anew.
 */
export const knows = (operation: Operation, continues: Continues): boolean =>
  operation === 'responses' ? continues === 'continue_final_message' : continues !== 'off'

function splicesWith(request: Request, text: string, continues: Continues): Splice[] | undefined {
  if (request.operation === 'completions') return promptWith(request, text)
  return request.operation === 'responses'
    ? inputWith(request.body, request.values.get('input'), text)
    : messagesWith(request, text, continues)
}

const endsInHalf = (text: string): boolean => /[\uD800-\uDBFF]$/.test(text)

/** Half a character is none, and behind white space some upstreams go on with nothing; both are expected to come again. */
function keptOf(text: string, operation: Operation): { kept: string; cut: string } {
  const whole = endsInHalf(text) ? text.slice(0, -1) : text
  const kept = operation === 'completions' ? whole : whole.trimEnd()
  return { kept, cut: text.slice(kept.length) }
}

function promptWith({ values, body }: Request, text: string): Splice[] | undefined {
  const [from = 0, to = 0] = values.get('prompt') ?? []
  if (body[from] !== 0x22) return undefined
  return [{ from: to - 1, to: to - 1, text: JSON.stringify(text).slice(1, -1) }]
}

function messagesWith({ operation, values, start }: Request, text: string, continues: Continues): Splice[] | undefined {
  const [, to] = values.get('messages') ?? []
  if (to === undefined) return undefined
  const [beside, above] = operation === 'messages' ? marks.assistant : marks[continues]
  const message = `,{"role":"assistant","content":${JSON.stringify(text)}${beside}}`
  const splices = [{ from: to - 1, to: to - 1, text: message }]
  if (above !== '') splices.push({ from: start, to: start, text: above })
  return splices
}

/** Who speaks in the last message; undefined where there is none. */
function roleOfLast({ body, values }: Request): string | undefined {
  const [from = 0, to = 0] = values.get('messages') ?? []
  return lastOf(body, from, to).get('role')
}

const bytesPerToken = 4

/** What has been said counts for what the client asked for at most. */
function lessTokens({ body, values }: Request, text: string): Splice[] {
  const said = Math.ceil(Buffer.byteLength(text) / bytesPerToken)
  return ['max_tokens', 'max_completion_tokens', 'max_output_tokens'].flatMap((name) => {
    const [from, to] = values.get(name) ?? []
    if (from === undefined || to === undefined) return []
    const most = Number(body.toString('latin1', from, to))
    return Number.isInteger(most) && most > 0 ? [{ from, to, text: String(Math.max(1, most - said)) }] : []
  })
}
