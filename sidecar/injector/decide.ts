import { Denial } from './denial.ts'
import { inject } from './inject.ts'
import { patchOf, type Operation } from './patch.ts'
import { planFor } from './plan.ts'
import { ownerOf, statusOf } from './pod.ts'
import { textOf, type Raw } from './raw.ts'
import type { Review } from './review.ts'
import type { Happening, InjectorSettings, Owner } from './settings.ts'
import { skipOf, skips, type Skip } from './skip.ts'
import { warningsOf } from './warnings.ts'

/** What becomes of a pod. */
export type Decision =
  | {
      readonly result: 'injected'
      /** `again` where something had changed since an earlier injection. */
      readonly reason: 'new' | 'again'
      readonly pod: Raw
      readonly patch: readonly Operation[]
      readonly warnings: readonly string[]
    }
  | { readonly result: 'skipped'; readonly reason: Skip; readonly message: string | undefined }
  | { readonly result: 'denied'; readonly reason: 'denied'; readonly message: string }

/** Pure: asked twice about the same pod, it says the same. Throws only what no pod is to blame for. */
export function decide({ pod, namespace }: Pick<Review, 'pod' | 'namespace'>, settings: InjectorSettings): Decision {
  try {
    const skip = skipOf(pod, namespace, settings.releaseNamespace)
    if (skip !== undefined) return skipped(skip)
    const plan = planFor(pod, settings)
    if (plan === 'unsupported_cluster') return skipped(plan)
    const made = inject(pod, plan)
    const patch = patchOf(pod, made)
    if (patch.length === 0) return skipped('already_injected')
    return { result: 'injected', reason: statusOf(pod) === undefined ? 'new' : 'again', pod: made, patch, warnings: warningsOf(pod, plan) }
  } catch (refused) {
    if (refused instanceof Denial) return { result: 'denied', reason: 'denied', message: refused.message }
    throw refused
  }
}

const skipped = (reason: Skip): Decision => ({ result: 'skipped', reason, message: skips[reason]?.message })

/** What whoever made the pod is to be told: nobody sees the answer to a controller. */
export function happeningOf(decision: Decision, { pod, namespace, dryRun }: Review): Happening | undefined {
  const owner = ownerWith(ownerOf(pod))
  if (dryRun || owner === undefined) return undefined
  if (decision.result === 'skipped') {
    const about = skips[decision.reason]
    if (about === undefined) return undefined
    return {
      kind: 'skipped',
      namespace,
      owner,
      reason: `NotInjected${about.event}`,
      message: `Outrider left a pod as it is: ${about.message}`,
    }
  }
  // The second time, the same has been said.
  if (decision.result === 'denied' || decision.reason === 'again' || decision.warnings.length === 0) return undefined
  return { kind: 'warned', namespace, owner, reason: 'InjectedWithWarnings', message: inOne(decision.warnings) }
}

// An Event holds 1024 characters.
const longestMessage = 1_000

function inOne(sentences: readonly string[]): string {
  const message = sentences.join('; ')
  return message.length <= longestMessage ? message : `${message.slice(0, longestMessage)}…`
}

function ownerWith(owner: Raw | undefined): Owner | undefined {
  const [apiVersion, kind, name, uid] = ['apiVersion', 'kind', 'name', 'uid'].map((key) => textOf(owner?.[key]))
  return apiVersion && kind && name && uid ? { apiVersion, kind, name, uid } : undefined
}
