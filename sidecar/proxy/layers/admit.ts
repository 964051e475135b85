import type { Layer } from '../call.ts'
import { SidecarError } from '../errors.ts'
import { onOver, type Life } from '../life.ts'

export interface Admission {
  /** Calls in flight now; what drain waits for. */
  inFlight: number
  /** Calls let in since the start. */
  seen: number
  /** What can be cancelled when the grace is over. */
  readonly lives: Set<Life>
  /** Set near the end of the grace: from then on every new call is turned away. */
  closed: boolean
}

/** Lets `limit` calls be in flight and sheds the rest. A call is in flight until the last byte of its answer has gone. */
export function admit(limit: number, state: Admission): Layer {
  return (next) => (call) => {
    if (state.closed) return Promise.reject(tooLate())
    if (state.inFlight >= limit) {
      return Promise.reject(
        new SidecarError('proxy_overloaded', `as many calls are in flight as limits.inFlight allows (${limit})`, {
          retryAfterMs: 1_000,
        }),
      )
    }
    state.inFlight++
    state.seen++
    state.lives.add(call.life)
    onOver(call.life, () => {
      state.inFlight--
      state.lives.delete(call.life)
    })
    return next(call)
  }
}

const tooLate = (): SidecarError =>
  new SidecarError('draining', 'this pod is shutting down, and its grace (drain.grace) is nearly over: only another pod can answer now', {
    retryAfterMs: 1_000,
  })
