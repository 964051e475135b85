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
  if (last.data === '[DONE]' || isFailure(last)) return 'whole'
  const type = typeOf(last)
  switch (operation) {
    case 'chat':
    case 'completions':
      return events.some(({ data }) => /"finish_reason"\s*:\s*"/.test(data)) ? 'missing_done' : 'cut'
    case 'responses':
      return /^response\.(?:completed|incomplete|failed)$/.test(type) ? 'whole' : 'cut'
    case 'messages':
      return type === 'message_stop' ? 'whole' : 'cut'
    default:
      // No marker is known for the streams of every endpoint: a transfer with an end mark is believed.
      return framed || /(?:\.completed|\.done|_stop)$/.test(type) ? 'whole' : 'cut'
  }
}

/** The upstream has said itself that it failed: nothing more will come, and nothing is hidden. */
function isFailure({ event, data }: SseEvent): boolean {
  return event === 'error' || /^\s*\{\s*"error"\s*:\s*[{"]/.test(data) || /^\s*\{\s*"type"\s*:\s*"error"/.test(data)
}

function typeOf({ event, data }: SseEvent): string {
  if (event !== '') return event
  return /^\s*\{[^{}[\]]{0,200}?"type"\s*:\s*"([^"]{1,80})"/.exec(data)?.[1] ?? ''
}
