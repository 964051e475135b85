import type { Clock } from '../clock.ts'
import type { Admission } from '../layers/admit.ts'

export interface DrainOptions {
  readonly clock: Clock
  readonly admission: Admission
  readonly graceMs: number
  /** With nothing in flight for this long, there is nothing to wait for. */
  readonly idleExitMs: number
  /** Ends what is still in flight: streams with the in-band error, WebSockets with 1001. */
  readonly cut: () => void
  /** Stops listening and lets the process end. */
  readonly stop: () => void
  readonly say: (message: string) => void
}

/** New calls are refused, and what still flows is cut, this long before the grace ends: an answer needs time to be written. */
const lastMs = 1_000
const lookMs = 100

/**
 * Goes on serving after the order to stop, for the app may be told to stop at the same moment and still make calls; leaves as soon as nobody
 * needs it, or when the grace is over.
 */
export function drain({ clock, admission, graceMs, idleExitMs, cut, stop, say }: DrainOptions): void {
  const began = clock.now()
  const closeAt = began + Math.max(graceMs * 0.8, graceMs - 2 * lastMs)
  const cutAt = began + Math.max(graceMs * 0.9, graceMs - lastMs)
  let idleSince = began
  let seen = admission.seen
  let wasCut = false
  const look = (): void => {
    const now = clock.now()
    if (admission.inFlight > 0 || admission.seen !== seen) idleSince = now
    seen = admission.seen
    if (now - idleSince >= idleExitMs || now - began >= graceMs) {
      say(
        admission.inFlight === 0
          ? 'nothing is in flight any more: stopping'
          : `the grace is over with ${admission.inFlight} calls in flight: stopping`,
      )
      return stop()
    }
    if (now >= closeAt) admission.closed = true
    if (now >= cutAt && !wasCut) {
      wasCut = true
      say(`the grace is nearly over: ending ${admission.inFlight} calls`)
      cut()
    }
    clock.set(lookMs, look)
  }
  look()
}
