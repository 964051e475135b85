import { hours, logNormal, minutes, seconds, type Down, type Faults, type Limit } from './faults.ts'
import {
  answers,
  attempts,
  attemptsInOutages,
  backSlowly,
  fewChanges,
  noneGroundless,
  noSwing,
  seenAgain,
  shareOf,
  sharesWithin,
} from './goals.ts'
import type { Scenario } from './scenario.ts'

export interface Size {
  readonly seed: number
  readonly calls: number
  /** The share of calls that has to be answered. */
  readonly least?: number
}

const latency = logNormal(2 * seconds, 40 * seconds)

/** Well, but for the calls that fail by chance. */
const usual: Faults = {
  failureRate: () => 0.023,
  latencyMs: (_now, random) => latency(random),
  limits: [],
  down: [],
}

const perSecond = 10
const ways: readonly Down['how'][] = ['refused', 'busy', 'unreachable']
/** In this hour two go down together. */
const togetherIn = 1

/** Each is throttled for 30 s every 5 min and down for 5 min every hour, at times of its own but for one. */
export function daily({ seed, calls, least = 0.9999 }: Size): Scenario {
  const lastsMs = (calls / perSecond) * seconds
  const faultsOf = (at: number): Faults => ({
    ...usual,
    limits: [{ firstMs: minutes + at * 100 * seconds, everyMs: 5 * minutes, lastsMs: 30 * seconds, hint: 'half' }],
    down: Array.from({ length: Math.ceil(lastsMs / hours) }, (_none, hour) => {
      const turn = hour === togetherIn && at === 1 ? 0 : at
      const fromMs = hour * hours + 10 * minutes + turn * 18 * minutes
      return { fromMs, toMs: fromMs + 5 * minutes, how: ways[(hour + at) % ways.length] ?? 'refused' }
    }).filter(({ toMs }) => toMs < lastsMs),
  })
  return {
    name: 'limits every 5 min, outages every hour',
    seed,
    calls,
    perSecond,
    upstreams: { a: faultsOf(0), b: faultsOf(1), c: faultsOf(2) },
    goals: [answers(least), attempts(1.1), seenAgain(30 * seconds), fewChanges(5), noneGroundless, sharesWithin(0.2, 2)],
  }
}

export function allDown({ seed, how }: { readonly seed: number; readonly how: Down['how'] }): Scenario {
  const faults = { ...usual, down: [{ fromMs: 10 * minutes, toMs: 20 * minutes, how }] }
  return {
    name: `all down for 10 min, ${how}`,
    seed,
    calls: 18_000,
    perSecond,
    upstreams: { a: faults, b: faults, c: faults },
    goals: [attemptsInOutages(1.25), seenAgain(30 * seconds), noneGroundless],
  }
}

/** Nothing but failures by chance. */
export const calm = ({ seed, calls }: Size): Scenario => ({
  name: 'all well',
  seed,
  calls,
  perSecond,
  upstreams: { a: usual, b: usual, c: usual },
  goals: [answers(0.9999), attempts(1.03), noneGroundless, sharesWithin(0.2, 2), noSwing],
})

/** Others, each with one thing that went wrong somewhere. */
export function others(seed: number): Scenario[] {
  const calls = 18_000
  const base = { seed, calls, perSecond }
  const always = (how: Down['how']): Down[] => [{ fromMs: 0, toMs: Infinity, how }]
  const flaps = Array.from(
    { length: 45 },
    (_none, n) => ({ fromMs: n * 40 * seconds, toMs: (n * 40 + 20) * seconds, how: 'refused' }) as const,
  )
  const outages = Array.from(
    { length: 5 },
    (_none, n) => ({ fromMs: n * 6 * minutes, toMs: (n * 6 + 3) * minutes, how: 'refused' }) as const,
  )
  const together = (hint: Limit['hint']): Faults => ({
    ...usual,
    limits: [{ firstMs: minutes, everyMs: 5 * minutes, lastsMs: 20 * seconds, hint }],
  })
  const poor = { ...usual, failureRate: () => 0.45 }
  return [
    {
      ...base,
      name: 'one takes ten times as long',
      upstreams: { a: usual, b: usual, c: { ...usual, latencyMs: (_now, random) => 10 * latency(random) } },
      goals: [answers(0.999), attempts(1.05), shareOf('c', 0.2)],
    },
    {
      ...base,
      name: 'one fails every call at once',
      upstreams: { a: usual, b: usual, c: { ...usual, down: always('busy') } },
      goals: [answers(0.9995), attempts(1.06), shareOf('c', 0.02)],
    },
    {
      ...base,
      name: 'one is down for 3 min of every 6, and comes back slowly',
      upstreams: { a: usual, b: usual, c: { ...usual, down: outages } },
      goals: [answers(0.9995), attempts(1.05), seenAgain(30 * seconds), backSlowly(0.2), noneGroundless],
    },
    {
      ...base,
      name: 'one is down for 20 s of every 40',
      upstreams: { a: usual, b: usual, c: { ...usual, down: flaps } },
      goals: [answers(0.9995), attempts(1.1), fewChanges(3)],
    },
    {
      ...base,
      name: 'all over their limits for 20 s at once, with a hint',
      upstreams: { a: together('always'), b: together('always'), c: together('always') },
      goals: [answers(0.9995), attempts(1.1), noneGroundless],
    },
    {
      ...base,
      name: 'all over their limits for 20 s at once, without a hint',
      upstreams: { a: together('never'), b: together('never'), c: together('never') },
      goals: [answers(0.995), attempts(1.1), noneGroundless],
    },
    {
      ...base,
      name: 'each fails 45 % of its calls: what repeats may cost runs out',
      upstreams: { a: poor, b: poor, c: poor },
      goals: [attempts(1.35)],
    },
  ]
}
