import type { Effect, Outcome } from '../llm/outcome.ts'
import { outcomes } from '../llm/outcome.ts'
import { condition, type Condition } from './condition.ts'
import { health, type Health, type HealthOptions, type State } from './health.ts'
import { score, type Score } from './score.ts'

export interface StandingOptions extends Omit<HealthOptions, 'changed'> {
  /** Hears of each change, with the name of what it is about. */
  readonly changed: (who: { readonly credential: string; readonly model: string }, from: State, to: State, why: string) => void
}

/** What is known of one upstream with one credential, and what it is at work on. */
export interface Standing {
  inFlight: number
  /** About so many tokens are being worked on. */
  outstanding: number
  readonly score: Score
  /** Of all attempts, for those who look. */
  readonly condition: Condition
  readonly usable: (model: string, now: number) => boolean
  /** Its key is refused or out of money: no attempt could help. */
  readonly hopeless: (model: string, now: number) => boolean
  readonly untilUsable: (model: string, now: number) => number
  readonly ease: (model: string, now: number) => number
  readonly state: (model: string, now: number) => State
  readonly began: (model: string, tokens: number, now: number) => void
  readonly ended: (tokens: number) => void
  readonly note: (told: Told) => void
  readonly checked: (up: boolean, now: number) => void
  readonly reset: (now: number) => void
  /** Those models about which there is something to say. */
  readonly models: () => IterableIterator<string>
}

export interface Told {
  readonly outcome: Outcome
  readonly model: string
  readonly what: string
  readonly hintMs: number | undefined
  readonly now: number
}

/** Names come from clients: the one that was heard of first is forgotten. */
const mostModels = 200

/** No connection is the same for every key and model; a refused or empty key for every model; the rest is about one model. */
export interface Host {
  readonly health: Health
}

export function openHost({ changed, ...options }: StandingOptions): Host {
  return { health: health({ ...options, changed: (...change) => changed({ credential: '', model: '' }, ...change) }) }
}

export function openStanding({ health: host }: Host, credential: string, { changed, ...options }: StandingOptions): Standing {
  const account = health({ ...options, changed: (...change) => changed({ credential, model: '' }, ...change) })
  const models = new Map<string, Health>()
  const seen = condition()

  const known = (model: string): Health | undefined => (models.size === 0 ? undefined : models.get(model))
  const ofModel = (model: string): Health => {
    const entry = models.get(model)
    if (entry !== undefined) return entry
    const [oldest] = models.keys()
    if (models.size >= mostModels && oldest !== undefined) models.delete(oldest)
    const made = health({ ...options, changed: (...change) => changed({ credential, model }, ...change) })
    models.set(model, made)
    return made
  }
  const levels = (model: string): Health[] => [host, account, known(model)].filter((level) => level !== undefined)

  const standing: Standing = {
    inFlight: 0,
    outstanding: 0,
    score: score(),
    condition: seen,
    usable: (model, now) => host.usable(now) && account.usable(now) && (known(model)?.usable(now) ?? true),
    hopeless: (_model, now) => {
      const state = account.state(now)
      return state === 'auth_failed' || state === 'exhausted'
    },
    untilUsable: (model, now) => Math.max(...levels(model).map((level) => level.untilUsable(now))),
    ease: (model, now) => Math.min(host.ease(now), account.ease(now), known(model)?.ease(now) ?? 1),
    state: (model, now) => worst(levels(model).map((level) => level.state(now))),
    began: (model, tokens, now) => {
      standing.inFlight++
      standing.outstanding += tokens
      host.began(now)
      account.began(now)
      known(model)?.began(now)
    },
    ended: (tokens) => {
      standing.inFlight--
      standing.outstanding -= tokens
    },
    note: ({ outcome, model, what, hintMs, now }) => {
      const { effect } = outcomes[outcome]
      seen.note(...conditionOf(outcome, effect), what, now)
      if (outcome === 'connect') {
        account.released()
        known(model)?.released()
        return host.note('hard', what, hintMs, now)
      }
      // Whoever answers, whatever it answers, is there.
      if (effect === 'none') host.released()
      else host.note('good', what, undefined, now)
      if (effect === 'refused' || effect === 'exhausted') {
        known(model)?.released()
        return account.note(effect, what, hintMs, now)
      }
      if (effect === 'good') account.note('good', what, undefined, now)
      else account.released()
      if (effect === 'none') known(model)?.released()
      else (effect === 'good' ? known(model) : ofModel(model))?.note(effect, what, hintMs, now)
    },
    checked: (up, now) => {
      host.checked(up, now)
    },
    reset: (now) => {
      for (const level of [host, account, ...models.values()]) level.reset(now)
    },
    models: () => models.keys(),
  }
  return standing
}

/** In the words of `/health`. */
function conditionOf(outcome: Outcome, effect: Effect): ['good' | 'refused' | 'failed'] {
  if (effect === 'hard' || effect === 'soft') return ['failed']
  return effect === 'good' || outcome === 'client' || effect === 'none' ? ['good'] : ['refused']
}

const order: readonly State[] = ['healthy', 'slow_start', 'probation', 'limited', 'ejected', 'exhausted', 'auth_failed', 'down']
const worst = (states: readonly State[]): State => states.reduce((one, other) => (order.indexOf(other) > order.indexOf(one) ? other : one), 'healthy')
