import type { SidecarError } from '../errors.ts'

export interface RefusedLinesOptions {
  readonly now: () => number
  readonly say: (level: 'warn', message: string) => void
}

/** Whoever is told so every minute knows it, and a client gone mad must not fill a disk. */
const betweenMs = 60_000

/** What is refused before it is a call has no line of a call: one says so, and then one a minute with how many there were. */
export function refusedLines({ now, say }: RefusedLinesOptions): (err: SidecarError) => void {
  let saidMs = -Infinity
  let untold = 0
  return ({ kind, message }) => {
    if (now() - saidMs < betweenMs) {
      untold++
      return
    }
    const more = untold === 0 ? '' : `; ${untold} more since the last such line`
    saidMs = now()
    untold = 0
    say('warn', `a request was refused before it was a call (${kind}): ${message}${more}`)
  }
}
