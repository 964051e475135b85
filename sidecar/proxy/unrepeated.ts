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
