import type { Call, Layer } from '../call.ts'
import type { Clock } from '../clock.ts'
import { SidecarError } from '../errors.ts'
import { cancel, onOver } from '../life.ts'
import type { Due } from '../plan.ts'

export interface Bounds {
  readonly totalMs: number
  readonly streamTotalMs: number
}

export interface DeadlineOptions extends Bounds {
  readonly clock: Clock
}

/** Bounds the whole call, whatever it waits for. A client that says how long it will wait shortens it. */
export function deadline({ clock, totalMs, streamTotalMs }: DeadlineOptions): Layer {
  const bounds = { totalMs, streamTotalMs }
  return (next) => (call) => {
    const { life, facts } = call
    const ring = (): void => {
      // Only now is it known whether the call is a stream: asking at the ring costs nothing, asking at each call would.
      const left = facts.beganMs + boundOf(call, bounds) - clock.now()
      if (left > 0) alarm = clock.set(left, ring)
      else cancel(life, tooLate(call, bounds))
    }
    let alarm = clock.set(Math.min(boundOf(call, bounds), streamTotalMs), ring)
    onOver(life, () => {
      clock.clear(alarm)
    })
    return next(call)
  }
}

function tooLate(call: Call, bounds: Bounds): SidecarError {
  const ms = boundOf(call, bounds)
  const { facts } = call
  facts.hurried = !facts.stream && ms < bounds.totalMs
  const setting = facts.stream ? 'timeouts.streamTotal' : 'timeouts.total'
  return new SidecarError(
    'total_timeout',
    `${facts.stream ? 'the stream was not over' : 'no whole answer'} within ${ms / 1_000} s${facts.hurried ? hurriedWords : ` (${setting})`}`,
  )
}

export const hurriedWords = ', the time that the client gave it (x-stainless-timeout or -read-timeout) and 0.25 s more'

/** How long the client waits for the beginning of an answer; until it has that, its own timeout bounds a stream too. */
export const headBoundOf = (call: Call, bounds: Bounds): number =>
  Math.min(boundOf(call, bounds), call.wishes.timeoutMs || Infinity, call.wishes.readTimeoutMs || Infinity)

export const dueOf = (call: Call, bounds: Bounds): Due => ({
  atMs: call.facts.beganMs + headBoundOf(call, bounds),
  stream: call.facts.stream,
})

/** How long a call may take, as far as it is known what kind of call it is. */
export function boundOf({ facts, wishes }: Call, { totalMs, streamTotalMs }: Bounds): number {
  // A client's timeout ends its wait for the head of a stream, not the stream.
  if (facts.stream) return streamTotalMs
  return Math.min(totalMs, wishes.timeoutMs || totalMs, wishes.readTimeoutMs || totalMs)
}
