import type { Call } from './call.ts'
import type { Clock } from './clock.ts'
import type { SidecarError } from './errors.ts'
import { handOver } from './facts.ts'
import { offCancel, onCancel } from './life.ts'

/** Waits, unless the client leaves or the time of the call is up. */
export function pause({ life, facts }: Call, ms: number, clock: Clock): Promise<void> {
  const sinceMs = clock.now()
  // Who asked for it, or is spared by it, is waited for.
  handOver(facts, sinceMs)
  const waiting = new Promise<void>((give, refuse) => {
    const alarm = clock.set(ms, () => {
      offCancel(life, stop)
      give()
    })
    const stop = (reason: SidecarError): void => {
      clock.clear(alarm)
      refuse(reason)
    }
    onCancel(life, stop)
  })
  return waiting.finally(() => {
    facts.oursMs = clock.now()
    facts.waitedMs += facts.oursMs - sinceMs
  })
}
