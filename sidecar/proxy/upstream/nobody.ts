import { SidecarError } from '../errors.ts'
import type { Plan } from '../plan.ts'

/** Why no upstream can be asked: the state of each, and when it will be tried again. */
export function nobody({ route, model, only }: Plan, now: number): SidecarError {
  const upstreams = route.tiers
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
  const waits = upstreams.flatMap(({ retry_in_seconds: seconds }) => (seconds === null ? [] : [seconds * 1_000]))
  const subject = `No healthy backend available for model: ${model === '' ? '(none named)' : model}`
  const why = upstreams.length === 0 ? '; no upstream has it' : ''
  return new SidecarError('no_upstream', subject + why, {
    details: { upstreams },
    ...(waits.length > 0 && { retryAfterMs: Math.min(...waits) }),
  })
}
