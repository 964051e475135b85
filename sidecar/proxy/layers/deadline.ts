import type { Call, Layer } from '../call.ts'
import type { Clock } from '../clock.ts'
import { SidecarError } from '../errors.ts'
import { cancel, onOver } from '../life.ts'

export interface DeadlineOptions {
  readonly clock: Clock
  readonly totalMs: number
  readonly streamTotalMs: number
}

/** Bounds the whole call, whatever it waits for. A client that says how long it will wait shortens it. */
export function deadline({ clock, totalMs, streamTotalMs }: DeadlineOptions): Layer {
  const boundOf = ({ facts, wishes }: Call): number => {
    // A client's timeout ends its wait for the head of a stream, not the stream.
    if (facts.stream) return streamTotalMs
    return Math.min(totalMs, wishes.timeoutMs || totalMs, wishes.readTimeoutMs || totalMs)
  }

  return (next) => (call) => {
    const { life, facts } = call
    const ring = (): void => {
      // Only now is it known whether the call is a stream: asking at the ring costs nothing, asking at each call would.
      const left = facts.beganMs + boundOf(call) - clock.now()
      if (left > 0) alarm = clock.set(left, ring)
      else cancel(life, new SidecarError('total_timeout', `no whole answer within ${boundOf(call) / 1_000} s`))
    }
    let alarm = clock.set(Math.min(boundOf(call), streamTotalMs), ring)
    onOver(life, () => {
      clock.clear(alarm)
    })
    return next(call)
  }
}
