import { outcomes, type Outcome } from '../llm/outcome.ts'
import { condition, type Condition } from './condition.ts'
import { health, type Health, type HealthState, type Pass } from './health.ts'
import { book } from './health/book.ts'
import { checkedHealth, type CheckedHealth } from './health/checkedHealth.ts'
import type { HealthNumbers } from './health/numbers.ts'
import { worstOf } from './health/tier.ts'
import type { Candidate as Weighed } from './strategies/strategy.ts'

export type Asked = Pick<Health, 'state' | 'usable' | 'until'>

export interface StandingOptions {
  readonly upstream: string
  readonly numbers: HealthNumbers
  readonly random: () => number
  /** Hears of each change of state, once. */
  readonly changed: (change: Change) => void
}

export interface Change {
  readonly upstream: string
  /** Empty where it has none, or where the change is about all of them. */
  readonly credential: string
  /** Empty where it is about all of them. */
  readonly model: string
  readonly from: HealthState
  readonly to: HealthState
  /** For how long, where that is known. */
  readonly forMs: number | undefined
  readonly why: string
}

/** An attempt as health sees it: what it was let in by. */
export interface Visit {
  readonly standing: Standing
  readonly model: string
  readonly tokens: number
  readonly level: Level
  readonly passes: readonly [host: Pass, account: Pass, model: Pass]
}

export interface Told {
  readonly outcome: Outcome
  readonly what: string
  /** The same in more words, for the log. */
  readonly why?: string | undefined
  readonly hintMs: number | undefined
  readonly now: number
  /** Asked only when it has come to that: whether the others could do without this one, by the one that is to go. */
  readonly mayEject: ((one: Health, wholeHost: boolean) => boolean) | undefined
}

/** What is known of one upstream with one credential, and what it is at work on. Strategies weigh it as it is. */
export interface Standing extends Weighed {
  inFlight: number
  outstandingTokens: number
  /** Of all attempts at its host, for those who look. */
  readonly condition: Condition
  /** Both as they are for the choice that is being made. */
  weight: number
  ease: number
  readonly usable: (model: string, now: number) => boolean
  /** And not merely because its tier cannot do without it. */
  readonly sound: (model: string, now: number) => boolean
  /** And not only by hope. */
  readonly proven: (model: string, now: number) => boolean
  readonly until: (model: string, now: number) => number | undefined
  readonly easeOf: (model: string, now: number) => number
  readonly state: (model: string, now: number) => HealthState
  /** For one model, without naming it again. */
  readonly asked: (model: string) => Asked
  /** The state of all that is known: of the host and the account, else the worst of the models. */
  readonly overall: (now: number) => HealthState
  readonly began: (model: string, tokens: number, now: number) => Visit
  /** Ends the attempt, with what was learnt from it. */
  readonly ended: (visit: Visit, told: Told) => void
  /** What is known of its models. */
  readonly known: () => readonly Health[]
}

/** One of the things that can be ill: the last state that was told of it. */
interface Level {
  readonly health: Health
  told: HealthState
  /** Until when it was said to be out. */
  toldUntil?: number | undefined
}

export interface Host {
  readonly condition: Condition
  readonly level: Level & { readonly health: CheckedHealth }
}

export function openHost({ numbers, random }: StandingOptions): Host {
  return {
    condition: condition(numbers.failuresInARow),
    level: { health: checkedHealth(health(random, numbers), numbers), told: 'healthy' },
  }
}

/** No connection is the same for every key and model; a refused or empty key for every model; the rest is about one model. */
export function openStanding(host: Host, credential: string, currentKey: () => string | undefined, options: StandingOptions): Standing {
  const { upstream, numbers, random, changed } = options
  const atHost = host.level
  const account: Level = { health: health(random, numbers), told: 'healthy' }
  const levels = book((): Level => ({ health: health(random, numbers), told: 'healthy' }))
  /** The key that was refused: another one deserves to be tried at once. */
  let refused: { readonly key: string | undefined } | undefined

  const levelOf = levels.of
  const ofAccount = (): Health => {
    if (refused !== undefined && currentKey() !== refused.key) {
      refused = undefined
      account.health.credentialChanged()
    }
    return account.health
  }
  const three = (model: string): Health[] => [atHost.health, ofAccount(), levelOf(model).health]

  const tell = (level: Level, model: string, { what, why = what, now }: Told): void => {
    const { health: one, told } = level
    const state = one.state(now)
    // Tried again and found no better, it is out for longer than was told.
    if (words(state) === words(told) && (!isTermed(state) || one.until(now) === level.toldUntil)) return
    const until = one.until(now)
    level.told = state
    level.toldUntil = until
    const of = level === atHost ? '' : credential
    // It has come to that by time alone: what happened just now is about something else.
    const reason = state === 'probation' ? 'no call has gone well there since' : why
    changed({ upstream, credential: of, model, from: told, to: state, forMs: until === undefined ? undefined : until - now, why: reason })
  }

  const standing: Standing = {
    name: credential === '' ? upstream : `${upstream}/${credential}`,
    inFlight: 0,
    outstandingTokens: 0,
    condition: host.condition,
    weight: 1,
    ease: 1,
    usable: (model, now) => atHost.health.usable(now) && ofAccount().usable(now) && levelOf(model).health.usable(now),
    sound: (model, now) => atHost.health.sound(now) && ofAccount().sound(now) && levelOf(model).health.sound(now),
    proven: (model, now) => atHost.health.proven(now) && ofAccount().proven(now) && levelOf(model).health.proven(now),
    easeOf: (model, now) => Math.min(atHost.health.ease(now), account.health.ease(now), levelOf(model).health.ease(now)),
    ...merged(three),
    asked: (model) => ({
      state: (now) => standing.state(model, now),
      usable: (now) => standing.usable(model, now),
      until: (now) => standing.until(model, now),
    }),
    overall: (now) => {
      const common = worstOf([atHost.health.state(now), ofAccount().state(now)])
      return words(common) === 'healthy' ? worstOf([common, ...levels.all().map((one) => one.health.state(now))]) : common
    },
    began: (model, tokens, now) => {
      standing.inFlight++
      standing.outstandingTokens += tokens
      const level = levelOf(model)
      return {
        standing,
        model,
        tokens,
        level,
        passes: [atHost.health.admit(now), account.health.admit(now), level.health.admit(now)],
      }
    },
    ended: ({ model, tokens, level, passes }, told) => {
      standing.inFlight--
      standing.outstandingTokens -= tokens
      const { outcome, now, hintMs, mayEject } = told
      const { effect } = outcomes[outcome]
      const [host_, account_, model_] = passes
      if (outcome === 'connect') {
        account.health.release(account_)
        level.health.release(model_)
        atHost.health.note(host_, effect, now, { hintMs, mayEject: mayEject && (() => mayEject(atHost.health, true)) })
        return tell(atHost, '', told)
      }
      if (effect === 'none') {
        if (isAnswer(told)) atHost.health.note(host_, 'good', now)
        else atHost.health.release(host_)
        account.health.release(account_)
        return level.health.release(model_)
      }
      // Whoever answers, whatever it answers, is there.
      atHost.health.note(host_, outcome === 'auth' && passedNothing(told) ? 'none' : 'good', now)
      if (effect === 'auth' || effect === 'exhausted') {
        level.health.release(model_)
        refused = { key: currentKey() }
        account.health.note(account_, effect, now)
      } else {
        if (effect === 'good') account.health.note(account_, 'good', now)
        else account.health.release(account_)
        level.health.note(model_, effect, now, { hintMs, mayEject: mayEject && (() => mayEject(level.health, false)) })
        tell(level, model, told)
      }
      tell(account, '', told)
      tell(atHost, '', told)
    },
    known: () => levels.all().map((one) => one.health),
  }
  return standing
}

/** What three healths say together. */
function merged(three: (model: string) => readonly Health[]): Pick<Standing, 'until' | 'state'> {
  return {
    until: (model, now) => {
      let last: number | undefined
      for (const one of three(model)) {
        const until = one.until(now)
        if (until !== undefined && until > (last ?? 0)) last = until
      }
      return last
    },
    state: (model, now) => worstOf(three(model).map((one) => one.state(now))),
  }
}

const isAnswer = ({ what }: Told): boolean => what.startsWith('status ')

/** There was no key to be shown: the upstream has not been asked. */
const passedNothing = ({ what }: Told): boolean => what === 'no_credential'

/** States that end at a time, and begin anew when the call that was let through then fails. */
const isTermed = (state: HealthState): boolean => state === 'ejected' || state === 'exhausted' || state === 'auth_failed'

/** To come back little by little is to be back. */
const words = (state: HealthState): HealthState => (state === 'slow_start' ? 'healthy' : state)
