import { isUsable } from '../proxy/layers/credential.ts'
import type { Document } from '../proxy/layers/local.ts'
import type { Trial } from '../proxy/canary/trial.ts'
import type { Checked } from '../proxy/upstream/check/checked.ts'
import type { Condition, State } from '../proxy/upstream/condition.ts'
import type { HealthState } from '../proxy/upstream/health.ts'
import { stateOf, stateOfAccount, type Account } from '../proxy/upstream/stateOf.ts'
import { version } from '../version.ts'

export interface StatusSources {
  readonly now: () => number
  /** When the process took up its work, on the same clock; a reload begins nothing anew. */
  readonly beganMs: number
  readonly calls: () => { readonly inFlight: number; readonly seen: number; readonly closed: boolean }
  readonly canaries: () => readonly Trial[]
  readonly upstreams: readonly {
    readonly name: string
    readonly condition: Condition
    readonly checked: Pick<Checked, 'read'>
    readonly connections: () => { open: number; busy: number; waiting: number }
    /** One for each of its keys, or one without. */
    readonly accounts: readonly Account[]
  }[]
}

/** What `/health` and `/v1/stats` say. */
export interface Status {
  readonly health: () => Document
  readonly stats: () => Document
}

export function status({ now, beganMs, calls, upstreams, canaries }: StatusSources): Status {
  type Source = (typeof upstreams)[number]
  const statusOf = (upstream: Source): State => worse(ofCalls(upstream), coarse[stateOf(upstream.accounts, now())])
  /** It failed whenever it was called, but that it is there again is the latest news. */
  const ofCalls = ({ condition, checked }: Source): State => {
    const state = condition.state()
    if (state !== 'unhealthy') return state
    const { last } = checked.read(now())
    return last?.well === true && last.msAgo < (condition.read(now()).lastBad?.msAgo ?? 0) ? 'degraded' : state
  }
  const told = (upstream: Source): object => {
    const { accounts } = upstream
    return {
      status: statusOf(upstream),
      ...inFull(stateOf(accounts, now())),
      // Of a single one nothing could be said that does not stand beside it.
      accounts: accounts.length > 1 ? accounts.map((one) => ({ name: one.credential, ...toldOf(one) })) : undefined,
    }
  }
  const toldOf = (account: Account): object => ({ ...inFull(stateOfAccount(account, now())), problem: problemOf([account]) })
  const overall = (): State => {
    const states = upstreams.map(statusOf)
    if (states.every((state) => state === 'healthy')) return 'healthy'
    return states.every((state) => state === 'unhealthy') ? 'unhealthy' : 'degraded'
  }
  return {
    health: () => {
      const { closed } = calls()
      return {
        // Of this process only: an upstream that is down gets no better by a restart of the sidecar.
        status: closed ? 503 : 200,
        json: {
          status: closed ? 'draining' : overall(),
          upstreams: upstreams.map((upstream) => {
            const { failuresInARow, lastGoodMsAgo, lastBad } = upstream.condition.read(now())
            const check = upstream.checked.read(now()).last
            return {
              name: upstream.name,
              ...told(upstream),
              problem: problemOf(upstream.accounts),
              failures_in_a_row: failuresInARow,
              last_success_seconds_ago: seconds(lastGoodMsAgo),
              last_failure: lastBad && { what: lastBad.what, seconds_ago: seconds(lastBad.msAgo) },
              last_check: check && { good: check.well, what: check.what, seconds_ago: seconds(check.msAgo) },
            }
          }),
        },
      }
    },
    stats: () => ({
      status: 200,
      json: {
        version,
        uptime_seconds: seconds(now() - beganMs),
        calls: { total: calls().seen, in_flight: calls().inFlight },
        upstreams: upstreams.map((upstream) => {
          const { attempts, good, meanResponseMs } = upstream.condition.read(now())
          const checks = upstream.checked.read(now())
          return {
            name: upstream.name,
            healthy: statusOf(upstream) !== 'unhealthy',
            ...told(upstream),
            connections: upstream.connections(),
            checks: { good: checks.good, failed: checks.failed },
            attempts,
            // Before the first attempt there is none, and 0 or 1 would be a guess.
            success_rate: attempts === 0 ? null : good / attempts,
            mean_response_ms: meanResponseMs === undefined ? null : Math.round(meanResponseMs * 10) / 10,
          }
        }),
        ...(canaries().length > 0 && { canaries: canaries().map(inShort) }),
      },
    }),
  }
}

const inShort = ({ route, setting, rate }: Trial): object => {
  const { weight, state, version, why } = setting()
  const [canary, stable] = [rate('canary').errorRate ?? null, rate('stable').errorRate ?? null]
  return { route, state, weight, version, why, error_rate: { canary, stable } }
}

/** In the words of `/health`: one that is let alone is of no use now, and one that asked for patience soon will be. */
const coarse: Readonly<Record<HealthState, State>> = {
  healthy: 'healthy',
  slow_start: 'healthy',
  // It is in use, and answers some calls, or its row of failures tells the rest.
  failing: 'degraded',
  limited: 'degraded',
  probation: 'degraded',
  ejected: 'unhealthy',
  down: 'unhealthy',
  exhausted: 'unhealthy',
  auth_failed: 'unhealthy',
}

const inFull = (state: HealthState): object => ({ state, not_ejected: state === 'failing' ? 'too_few_others' : undefined })

const problemOf = (accounts: readonly Account[]): 'no_credential' | undefined =>
  accounts.some(({ key }) => isUsable(key)) ? undefined : 'no_credential'

const worse = (one: State, other: State): State => {
  if (one === 'unhealthy' || other === 'unhealthy') return 'unhealthy'
  return one === 'healthy' ? other : one
}

const seconds = (ms: number | undefined): number | null => (ms === undefined ? null : Math.round(ms / 100) / 10)
