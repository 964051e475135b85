import type { Call, Handler, Reply } from '../call.ts'
import type { Clock } from '../clock.ts'
import { SidecarError } from '../errors.ts'
import { closeAttempt, handOver } from '../facts.ts'
import { attempt } from './attempt.ts'
import { pathAt } from './pathAt.ts'
import type { Pool } from './pool.ts'

export interface DispatchOptions {
  readonly name: string
  /** The path and query of the upstream's base URL, put around the call's own. */
  readonly base: { readonly path: string; readonly query: string }
  readonly pool: Pool
  readonly clock: Clock
  readonly writeMs: number
}

/** The innermost handler: one attempt at one upstream. */
export function dispatch(options: DispatchOptions): Handler {
  const { name, base, pool, clock, writeMs } = options
  const { giveBack } = pool
  // As the app's /v1 stands for the base URL, what is beside the one is beside the other.
  const beside = { path: base.path.replace(/\/+[^/]*$/, ''), query: base.query }
  const pathFor = ({ path, target }: Call): string => (path === undefined ? pathAt(beside, target) : pathAt(base, path))
  return (call) =>
    new Promise<Reply>((give, refuse) => {
      if (base.path === '' && looksLikeHost(call.path)) {
        return refuse(new SidecarError('bad_request', 'the path begins with two slashes, which would read as the name of another server'))
      }
      const { facts } = call
      const beganMs = clock.now()
      closeAttempt(facts)
      facts.upstream = name
      if (!call.fresh) facts.attempts++
      facts.sentMs = 0
      facts.queuedMs = beganMs
      handOver(facts, beganMs)
      const refused = (err: SidecarError): void => {
        facts.oursMs = clock.now()
        closeAttempt(facts, err.kind)
        refuse(err)
      }
      pool.take(
        call.life,
        call.fresh,
        (connection) => {
          attempt({ call, path: pathFor(call), connection, clock, writeMs, give, refuse: refused, giveBack })
        },
        refused,
      )
    })
}

/** Behind a base URL with a path two slashes are only an empty segment. */
const looksLikeHost = (path: string | undefined): boolean => path !== undefined && /^(?:[/\\]|%2f|%5c){2}/i.test(path)
