import { asSidecarError, kinds, SidecarError } from '../errors.ts'
import type { Plan } from '../plan.ts'

interface Said {
  readonly name: string
  readonly credential?: string
  readonly state: string
  readonly retry_in_seconds: number | null
}

/** Why no upstream can be asked: the state of each, and when it will be tried again. */
export function nobody(plan: Plan, now: number): SidecarError {
  const { model } = plan
  const upstreams = statesOf(plan, now)
  const waits = upstreams.flatMap(({ retry_in_seconds: seconds }) => (seconds === null ? [] : [seconds * 1_000]))
  const subject = `No healthy backend available for model: ${model === '' ? '(none named)' : model}`
  const why = upstreams.length === 0 ? '; no upstream has it' : ''
  return new SidecarError('no_upstream', subject + why, {
    details: { upstreams },
    ...(waits.length > 0 && { retryAfterMs: Math.min(...waits) }),
  })
}

/** A failure after which none of them is asked any more says how all of them are. */
export function withStates(thrown: unknown, plan: Plan, now: number): SidecarError {
  const err = asSidecarError(thrown)
  if (kinds[err.kind].fault !== 'upstream' || err.details !== undefined) return err
  const { retryAfterMs } = err
  return new SidecarError(err.kind, err.message, {
    cause: err.cause,
    details: { upstreams: statesOf(plan, now) },
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  })
}

const statesOf = ({ route, model, only }: Plan, now: number): Said[] =>
  route.tiers
    .flat()
    .filter((one) => (only === undefined ? one.weight > 0 : one.upstream === only) && one.serves(model))
    .map(({ upstream, credential, standing }) => {
      const until = standing.until(model, now)
      return {
        name: upstream,
        ...(credential !== '' && { credential }),
        state: standing.state(model, now),
        retry_in_seconds: until === undefined ? null : Math.ceil((until - now) / 1_000),
      }
    })
