import type { Upstream } from '../../../config/config.ts'
import { stack, type Handler } from '../../call.ts'
import type { Clock } from '../../clock.ts'
import { credential, isUsable } from '../../layers/credential.ts'
import { stale } from '../../layers/stale.ts'
import type { OpenTarget } from '../target.ts'
import { connect } from './connect.ts'
import { get } from './get.ts'
import type { Question } from './question.ts'
import { rounds, type Heard } from './rounds.ts'
import { ofModels, ofPath } from './verdict.ts'

export interface Checker {
  /** Asks no more, for the process ends: what is known stays as it is. */
  readonly stop: () => void
  /** Asks no more, for nobody wants it: what was answered does not matter any more. */
  readonly close: () => void
}

export interface CheckerOptions {
  readonly target: OpenTarget
  readonly check: Upstream['check']
  /** Attempts that it serves at a time. */
  readonly connections: number
  readonly clock: Clock
  readonly random: () => number
  /** Hears of each check. */
  readonly counted: (well: boolean) => void
}

/** Checks one upstream, as long as calls do not tell how it is. */
export function openChecker(options: CheckerOptions, question: Question = questionOf(options)): Checker {
  const { target, check, connections, clock, random, counted } = options
  const { checked, condition, accounts, pool } = target
  const end = rounds({
    clock,
    random,
    intervalMs: check.interval,
    quietMs: check.by === 'auto' && check.quietInterval > check.interval ? check.quietInterval : 0,
    ask: (tell) => {
      const { busy, waiting } = pool.stats()
      // It works on as many calls as it may, and a check would wait behind them.
      if (check.by === 'connect' || (waiting === 0 && busy < connections)) return question(tell)
      tell(undefined)
      return () => {}
    },
    heard: (now) => heard(target, now),
    calm: () => {
      const now = clock.now()
      const { last } = checked.read(now)
      if ((last?.well === false && last.believed) || condition.read(now).failuresInARow > 0) return false
      return accounts.every(({ standing }) => !out.has(standing.overall(now)))
    },
    told: (answer, now) => {
      counted(answer.well)
      checked.told(answer, check.by !== 'auto', now)
    },
    hurried: () => {
      const now = clock.now()
      return checked.read(now).last?.well === true && accounts.every(({ standing }) => standing.overall(now) === 'down')
    },
    vouched: checked.vouched,
  })
  let stopped = false
  const stop = (): void => {
    stopped = true
    end()
  }
  return {
    stop,
    close: () => {
      if (stopped) return
      stop()
      checked.ended(clock.now())
    },
  }
}

/** What another answer to a check could end. */
const out: ReadonlySet<string> = new Set(['probation', 'ejected', 'down'])

function heard({ condition }: OpenTarget, now: number): Heard | undefined {
  const { lastGoodMsAgo = Infinity, lastBad } = condition.read(now)
  const msAgo = Math.min(lastGoodMsAgo, lastBad?.msAgo ?? Infinity)
  return msAgo === Infinity ? undefined : { msAgo, good: msAgo === lastGoodMsAgo }
}

/** What the settings want to be asked. */
export function questionOf({
  target,
  check: { by, path = '/', timeout: timeoutMs },
  clock,
}: Pick<CheckerOptions, 'target' | 'check' | 'clock'>): Question {
  if (by === 'connect') return connect(target.plainConnector, clock, timeoutMs)
  if (by === 'path') return get({ handle: handleOf(target, target.dispatchFromRoot), path, clock, timeoutMs, verdict: ofPath })
  return get({ handle: handleOf(target, target.dispatch), path: '/models', clock, timeoutMs, verdict: ofModels })
}

function handleOf({ scheme, accounts }: OpenTarget, dispatch: Handler): Handler {
  const ways = accounts.map(({ key }) => ({ key, handle: stack([stale(), credential(scheme, key)], dispatch) }))
  // All accounts are at the same host; one does for them all.
  return (call) => (ways.find(({ key }) => isUsable(key)) ?? ways[0])?.handle(call) ?? dispatch(call)
}
