import type { Call, Layer } from '../call.ts'
import { onOver } from '../life.ts'
import { usageFrom } from '../llm/answerEnds.ts'

/** Reports each call once, when the client has had its last byte or is gone. */
export function measure(report: (call: Call) => void, now: () => number): Layer {
  return (next) => (call) => {
    onOver(call.life, () => {
      const { facts } = call
      facts.overMs = now()
      if (facts.ends !== undefined) facts.usage = usageFrom(facts.operation, facts.ends)
      report(call)
    })
    return next(call)
  }
}
