import { handOver, type Handler, type Reply } from '../call.ts'
import type { Clock } from '../clock.ts'
import { SidecarError } from '../errors.ts'
import { attempt } from './attempt.ts'
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
  return (call) =>
    new Promise<Reply>((give, refuse) => {
      if (base.path === '' && looksLikeHost(call.path)) {
        return refuse(new SidecarError('bad_request', 'the path begins with two slashes, which would read as the name of another server'))
      }
      const { facts } = call
      const beganMs = clock.now()
      facts.upstream = name
      if (!call.fresh) facts.attempts++
      facts.sentMs = 0
      facts.queuedMs = beganMs
      handOver(facts, beganMs)
      const given = (reply: Reply): void => {
        facts.tried.push({ upstream: name, outcome: reply.status, ms: facts.headMs - beganMs })
        give(reply)
      }
      const refused = (err: SidecarError): void => {
        facts.oursMs = clock.now()
        facts.tried.push({ upstream: name, outcome: err.kind, ms: facts.oursMs - beganMs })
        refuse(err)
      }
      pool.take(
        call.life,
        call.fresh,
        (connection) => {
          attempt({ call, path: pathOf(base, call.path ?? ''), connection, clock, writeMs, give: given, refuse: refused, giveBack })
        },
        refused,
      )
    })
}

/** A base URL may have a query of its own (`?api-version=…`): it comes first. */
function pathOf(base: DispatchOptions['base'], path: string): string {
  const query = path.indexOf('?')
  const before = query < 0 ? path : path.slice(0, query)
  // Only a base URL without a path can be followed by nothing at all.
  const whole = base.path + before || '/'
  if (base.query === '') return query < 0 ? whole : whole + path.slice(query)
  return query < 0 ? `${whole}?${base.query}` : `${whole}?${base.query}&${path.slice(query + 1)}`
}

/** Behind a base URL with a path two slashes are only an empty segment. */
const looksLikeHost = (path: string | undefined): boolean => path !== undefined && /^(?:[/\\]|%2f|%5c){2}/i.test(path)
