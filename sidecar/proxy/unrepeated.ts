import type { HealthState } from './upstream/health.ts'

/** Why a call that failed was not tried again. */
export type Unrepeated =
  | 'attempts'
  | 'budget_concurrency'
  | 'budget_rate'
  | 'budget_tokens'
  | 'not_kept'
  | 'deadline'
  | 'no_upstream'
  | 'forbidden'
  | 'not_resumable'

/** Why the model that a call names was not asked, but another at once: the best state in which it was anywhere. */
export type Unasked = HealthState
