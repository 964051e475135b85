import type { SidecarError } from './errors.ts'

type Told<T> = (news: T) => void

/**
 * How long somebody waits for a call: it can be cancelled once, and it is over once. An AbortSignal and a promise would
 * say the same for fifty times the price. A plain record, so that a call allocates no closures for it.
 */
export interface Life {
  /** Why nobody waits any more. */
  cancelled: SidecarError | undefined
  /** Set when the last byte has gone to the client, or its connection is gone. */
  over: boolean
  /** Why it ended before it was whole. */
  failure: SidecarError | undefined
  cancels: Told<SidecarError>[]
  ends: Told<SidecarError | undefined>[]
}

export function newLife(): Life {
  return { cancelled: undefined, over: false, failure: undefined, cancels: [], ends: [] }
}

/** A shorter life within `parent`: an attempt can be given up while its call goes on. */
export function lifeWithin(parent: Life): Life {
  const life = newLife()
  const stop = (reason: SidecarError): void => {
    cancel(life, reason)
  }
  onCancel(parent, stop)
  onOver(life, () => {
    offCancel(parent, stop)
  })
  return life
}

/** Tells `listener` once when the life is cancelled, at once if it has been. */
export function onCancel(life: Life, listener: Told<SidecarError>): void {
  if (life.cancelled === undefined) life.cancels.push(listener)
  else listener(life.cancelled)
}

export function offCancel(life: Life, listener: Told<SidecarError>): void {
  const at = life.cancels.indexOf(listener)
  if (at >= 0) life.cancels.splice(at, 1)
}

export function cancel(life: Life, reason: SidecarError): void {
  if (life.cancelled !== undefined || life.over) return
  life.cancelled = reason
  const told = life.cancels
  life.cancels = []
  for (const listener of told) listener(reason)
}

/** Tells `listener` once how the call ended, at once if it has; `undefined` means whole, to the last byte. */
export function onOver(life: Life, listener: Told<SidecarError | undefined>): void {
  if (life.over) listener(life.failure)
  else life.ends.push(listener)
}

export function finish(life: Life, failure: SidecarError | undefined): void {
  if (life.over) return
  life.over = true
  life.failure = failure
  const told = life.ends
  life.ends = []
  life.cancels = []
  for (const listener of told) listener(failure)
}
