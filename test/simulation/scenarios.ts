import { hours, logNormal, minutes, seconds, type Down, type Faults } from './faults.ts'
import type { Scenario } from './scenario.ts'

const latency = logNormal(2 * seconds, 40 * seconds)

/** Well, but for the calls that fail by chance. */
export const usual: Faults = {
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
export function daily({ seed = 1, calls = 1_000_000 } = {}): Scenario {
  const lastsMs = (calls / perSecond) * seconds
  const faultsOf = (at: number): Faults => ({
    ...usual,
    limits: [{ firstMs: minutes + at * 100 * seconds, everyMs: 5 * minutes, lastsMs: 30 * seconds, hint: 'half' }],
    down: Array.from({ length: Math.floor(lastsMs / hours) }, (_none, hour) => {
      const turn = hour === togetherIn && at === 1 ? 0 : at
      const fromMs = hour * hours + 10 * minutes + turn * 18 * minutes
      return { fromMs, toMs: fromMs + 5 * minutes, how: ways[(hour + at) % ways.length] ?? 'refused' }
    }),
  })
  return { name: 'a day of faults', seed, calls, perSecond, upstreams: { a: faultsOf(0), b: faultsOf(1), c: faultsOf(2) } }
}

export function allDown({ seed = 1, how = 'refused' as Down['how'] } = {}): Scenario {
  const down = [{ fromMs: 10 * minutes, toMs: 20 * minutes, how }]
  const faults = { ...usual, down }
  return { name: `all down for 10 min (${how})`, seed, calls: 18_000, perSecond, upstreams: { a: faults, b: faults, c: faults } }
}
