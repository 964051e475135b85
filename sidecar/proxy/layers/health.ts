import type { Call, Layer } from '../call.ts'
import type { Clock } from '../clock.ts'
import { asSidecarError, kinds, type KindName, type SidecarError } from '../errors.ts'
import { onOver } from '../life.ts'
import type { Condition } from '../upstream/condition.ts'

/** Watches how attempts end and changes nothing about them. What the client or we are to blame for says nothing of the upstream. */
export function health(condition: Condition, { now }: Pick<Clock, 'now'>): Layer {
  const noteFailure = (kind: KindName): void => {
    if (kinds[kind].fault === 'upstream') condition.note('failed', kind, now())
  }
  /** An answer that began well can still break off, and only at the end of the call that is known. */
  const judgeEnd = ({ facts }: Call, failure: SidecarError | undefined): void => {
    const kind = failure?.kind ?? facts.error
    if (kind === undefined) condition.note('good', '', facts.headMs)
    else noteFailure(kind)
  }
  return (next) => (call) =>
    next(call).then(
      (reply) => {
        const { status } = reply
        const { headMs, connectedMs } = call.facts
        condition.took(headMs - connectedMs)
        if (status >= 500) condition.note('failed', `status ${status}`, headMs)
        else if (isRefusal(status)) condition.note('refused', `status ${status}`, headMs)
        else onOver(call.life, (failure) => judgeEnd(call, failure))
        return reply
      },
      (thrown: unknown) => {
        noteFailure(asSidecarError(thrown).kind)
        throw thrown
      },
    )
}

/** The key is not accepted, has no money left, or is over its limit: whatever the call was, the next would fare no better. */
const isRefusal = (status: number): boolean => status === 401 || status === 402 || status === 403 || status === 429
