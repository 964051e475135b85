import type { Outcome } from '../llm/outcome.ts'
import type { Standing } from '../upstream/standing.ts'
import type { Split } from '../upstream/route.ts'
import type { SideName, Verdict } from './trial.ts'

/** On which side of its route a call is. */
export interface Side {
  readonly split: Split
  readonly chosen: SideName
  /** False where the call has chosen its side itself. */
  readonly counts: boolean
  /** Where its last attempt went. */
  served: SideName
  /** Its first attempt has been judged. */
  judged: boolean
}

interface Attempt {
  readonly model: string
  readonly outcome: Outcome
}

/**
 * Counts for the side that was chosen how the first attempt of a call came out, whatever saved the call after it. One that could not even be
 * made there has failed.
 */
export function judge(side: Side, { model, outcome }: Attempt, standing: Standing | undefined): void {
  if (side.judged) return
  side.judged = true
  const { split, chosen, counts } = side
  const verdict = split.sideOf(model, standing) === chosen ? verdictOf(outcome) : 'failed'
  if (verdict !== undefined) split.trial.note(chosen, verdict, counts)
}

/** Undefined for what is the client's doing or ours. */
function verdictOf(outcome: Outcome): Verdict | undefined {
  switch (outcome) {
    case 'good':
      return 'good'
    case 'client':
    case 'context':
    case 'policy':
    case 'unsupported':
      return 'refused'
    case 'asked':
    case 'unwell':
    case 'client_abort':
    case 'busy':
    case 'sidecar':
    case 'stale':
      return undefined
    default:
      return 'failed'
  }
}
