import type { Operation } from './operation.ts'
import { parseEvents, type SseEvent } from './sse.ts'

/** How a stream stands when the upstream has ended it. */
export type StreamEnd = 'whole' | 'missing_done' | 'cut'

/**
 * Judges a stream by its last events, once, when it has ended: looking at every event for what only the last ones can say would cost
 * each chunk. `framed` tells whether the transfer itself had an end mark.
 */
export function streamEnd(operation: Operation, tail: string, framed: boolean): StreamEnd {
  const events = parseEvents(tail)
  const last = events.at(-1)
  if (last === undefined) return 'cut'
  if (events.some((event) => isDone(event) || isMarker(operation, typeOf(event)))) return 'whole'
  if (events.some(isFailure)) return 'whole'
  if (operation === 'chat' || operation === 'completions') return isFinished(events) ? 'missing_done' : 'cut'
  // No marker is known for the streams of every endpoint: a transfer with an end mark is believed.
  return operation === 'responses' || operation === 'messages' || !framed ? 'cut' : 'whole'
}

/** What is still to be done for a stream that has ended. */
export interface Ending {
  readonly operation: Operation
  /** The last events that went out. */
  readonly tail: string
  /** The event after them, which was never finished. */
  readonly left: Buffer
  /** `framed` with an end mark, `closed` with the connection, `broken` by a failure. */
  readonly by: 'framed' | 'closed' | 'broken'
  /** It is known that there is one answer in it. */
  readonly single?: boolean
}

/** The bytes that make the stream whole, often none; undefined when it is cut. */
export function lastBytes({ operation, tail, left, by, single = false }: Ending): readonly Buffer[] | undefined {
  const text = left.toString()
  const unfinished = parseEvents(`${text}\n\n`)
  // An event that only its blank line is missing of has been said to the end.
  const said = unfinished.every((event) => isDone(event) || isJson(event.data))
  const verdict = streamEnd(operation, said ? `${tail}${text}\n\n` : tail, by === 'framed')
  if (verdict === 'cut' || (verdict === 'missing_done' && by === 'broken' && !single)) return undefined
  const bytes: Buffer[] = []
  // The beginning of a line would become one with the marker behind it.
  const spoils = verdict === 'missing_done' && unfinished.length === 0
  if (left.length > 0 && !spoils && (said || operation === 'other')) bytes.push(left)
  // Readers throw away an event whose blank line never came.
  if (unfinished.length > 0 && said && operation !== 'other') bytes.push(blankLine)
  if (verdict === 'missing_done') bytes.push(doneEvent)
  return bytes
}

const blankLine = Buffer.from('\n\n')
const doneEvent = Buffer.from('data: [DONE]\n\n')

const isDone = ({ data }: SseEvent): boolean => data === '[DONE]'

function isMarker(operation: Operation, type: string): boolean {
  switch (operation) {
    case 'chat':
    case 'completions':
      return false
    case 'responses':
      return /^response\.(?:completed|incomplete|failed|cancelled)$/.test(type)
    case 'messages':
      return type === 'message_stop'
    default:
      return /(?:\.completed|\.done|_stop)$/.test(type)
  }
}

/** The upstream has said itself that it failed: nothing more will come, and nothing is hidden. */
function isFailure({ event, data }: SseEvent): boolean {
  if (event === 'error') return true
  const json = data.includes('"error"') ? objectOf(data) : undefined
  return json !== undefined && (Boolean(json['error']) || json['type'] === 'error' || json['object'] === 'error')
}

/** Whether the last event that spoke of choices ended one: events behind it carry usage and the like. */
function isFinished(events: readonly SseEvent[]): boolean {
  for (const { data } of events.toReversed()) {
    const choices: unknown = objectOf(data)?.['choices']
    if (!Array.isArray(choices) || choices.length === 0) continue
    return choices.some((choice: { finish_reason?: unknown } | null) => Boolean(choice?.finish_reason))
  }
  return false
}

function typeOf({ event, data }: SseEvent): string {
  if (event !== '') return event
  return /^\s*\{[^{}[\]]{0,200}?"type"\s*:\s*"([^"]{1,80})"/.exec(data)?.[1] ?? ''
}

/** The number that the last of these events carries; -1 without one. */
export function lastNumber(tail: string): number {
  const last = parseEvents(tail).at(-1)
  const number: unknown = last === undefined ? undefined : objectOf(last.data)?.['sequence_number']
  return typeof number === 'number' ? number : -1
}

function objectOf(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
