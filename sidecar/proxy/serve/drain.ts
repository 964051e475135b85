import type { Alarm, Clock } from '../clock.ts'
import type { Admission } from '../layers/admit.ts'

export interface DrainOptions {
  readonly clock: Clock
  readonly admission: Admission
  /** Everything that a client still waits for, WebSockets among it. */
  readonly busy: () => number
  readonly graceMs: number
  /** With nothing in flight for this long, there is nothing to wait for. */
  readonly idleExitMs: number
  /** Ends what is still in flight: streams with the in-band error, WebSockets with 1001. */
  readonly cut: () => void
  /** Stops listening and lets the process end. */
  readonly stop: () => void
  readonly say: (message: string) => void
}

/** New calls are refused two of these before the grace ends, and what still flows is cut one before: a last answer needs time to be written. */
const lastMs = 1_000
/** Even without any grace, clients are told why their calls end. */
const shortestMs = 200
const lookMs = 100

/**
 * Goes on serving after the order to stop, for the app may be told to stop at the same moment and still make calls; leaves as soon as nobody
 * needs it, or when the grace is over. The answer stops at once.
 */
export function drain({ clock, admission, busy, graceMs, idleExitMs, cut, stop, say }: DrainOptions): () => void {
  const began = clock.now()
  const refuseAt = began + Math.max(graceMs * 0.7, graceMs - 2 * lastMs)
  const cutAt = began + Math.max(graceMs * 0.8, graceMs - lastMs)
  let stopAt = began + Math.max(graceMs, shortestMs)
  let idleSince = began
  let seen = admission.seen
  let wasCut = false
  let alarm: Alarm | undefined
  const end = (): void => {
    clock.clear(alarm)
    stop()
  }
  const look = (): void => {
    const now = clock.now()
    if (busy() > 0 || admission.seen !== seen) idleSince = now
    seen = admission.seen
    if (now >= refuseAt) admission.closed = true
    if (now >= cutAt && !wasCut) {
      wasCut = true
      if (busy() > 0) say(`the grace is nearly over: ending what is in flight (${busy()})`)
      cut()
      // A process that got no time to run looks late: the last answers need a moment all the same.
      stopAt = Math.max(stopAt, now + lookMs)
    }
    if (busy() === 0 && (wasCut || now - idleSince >= idleExitMs)) {
      say('nothing is in flight any more: stopping')
      return end()
    }
    if (now >= stopAt) {
      say(`the grace is over, and calls are in flight all the same (${busy()}): stopping`)
      return end()
    }
    alarm = clock.set(lookMs, look)
  }
  look()
  return end
}
