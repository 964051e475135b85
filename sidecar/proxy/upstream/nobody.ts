import { asSidecarError, kinds, SidecarError } from '../errors.ts'
import type { Home, Plan } from '../plan.ts'
import { isWeighty } from './choice.ts'

interface Said {
  readonly name: string
  readonly credential?: string
  readonly state: string
  readonly retry_in_seconds: number | null
}

/** Why no upstream can be asked: the state of each, and when it will be tried again. */
export function nobody(plan: Plan, now: number): SidecarError {
  const { model, home } = plan
  const upstreams = statesOf(plan, now)
  const waits = upstreams.flatMap(({ retry_in_seconds: seconds }) => (seconds === null ? [] : [seconds * 1_000]))
  const subject = `No healthy backend available for model: ${model === '' ? '(none named)' : model}`
  const why = home === undefined ? each(upstreams) : onlyAt(home, upstreams[0])
  return new SidecarError('no_upstream', subject + why, {
    details: { upstreams },
    ...(upstreams.length === 0 && { permanent: true }),
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

const statesOf = ({ route, model, only, home }: Plan, now: number): Said[] =>
  (home === undefined ? route.tiers.flat() : [home.candidate])
    .filter((one) => home !== undefined || ((only === undefined ? isWeighty(route, one) : one.upstream === only) && one.serves(model)))
    .map(({ upstream, credential, standing }) => {
      const until = standing.until(model, now)
      return {
        name: upstream,
        ...(credential !== '' && { credential }),
        state: standing.state(model, now),
        retry_in_seconds: until === undefined ? null : Math.ceil((until - now) / 1_000),
      }
    })

/** For who sees the message alone. */
function each(upstreams: readonly Said[]): string {
  if (upstreams.length === 0) return '; no upstream has it: the app must name one of upstreams[].models, or it must be added there'
  const told = upstreams.slice(0, mostTold).map(({ name, state, retry_in_seconds: seconds }) => `; ${name} is ${state}${whenOf(seconds)}`)
  return `${told.join('')}${upstreams.length > mostTold ? `; and ${upstreams.length - mostTold} more` : ''}`
}

const mostTold = 5
const whenOf = (seconds: number | null): string => (seconds === null ? '' : `, and tried again in ${seconds} s`)

/** Somebody who has a file there wants to hear of that one upstream, and when to come back. */
function onlyAt({ candidate, id, known }: Home, is: Said | undefined): string {
  const what = id === '' ? 'sealed reasoning' : id
  const where = `upstream ${candidate.upstream}`
  const who = known ? `, which ${where} made` : `, which nobody here has seen made and is asked for at ${where} alone`
  const seconds = is?.retry_in_seconds ?? 0
  return `; the request refers to ${what}${who}: it is ${is?.state}, and tried again ${seconds > 0 ? `in ${seconds} s` : 'with the next call'}`
}
