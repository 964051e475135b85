import type { SidecarError } from '../../errors.ts'
import { outcomeOfFailure } from '../../llm/outcome.ts'

/** What a check came to. */
export interface Answer {
  readonly well: boolean
  readonly what: string
  /** Something answered. Where nothing did, nothing can have been wrong about the question. */
  readonly reached: boolean
}

/** Asks an upstream whether it is there. Undefined is told where nothing was learnt. What it gives back gives the question up, untold. */
export type Question = (tell: (answer: Answer | undefined) => void) => () => void

/** Of a failure that is ours, or for want of a key, nothing is learnt of the upstream. */
export function answerOfFailure({ kind }: SidecarError): Answer | undefined {
  switch (outcomeOfFailure(kind, 'sent')) {
    case 'connect':
      return { well: false, what: kind, reached: false }
    case 'timeout':
    case 'reset':
    case 'server':
      return { well: false, what: kind, reached: true }
    default:
      return undefined
  }
}
