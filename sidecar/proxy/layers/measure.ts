import type { Call, Layer } from '../call.ts'
import { onOver } from '../life.ts'

/** Reports each call once, when the client has had its last byte or is gone. */
export function measure(report: (call: Call) => void): Layer {
  return (next) => (call) => {
    onOver(call.life, () => {
      call.facts.usage = call.facts.tellUsage?.()
      report(call)
    })
    return next(call)
  }
}
