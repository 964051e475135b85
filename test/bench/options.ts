import { parseArgs } from 'node:util'

export const workloads = ['json', 'streams', 'rate', 'tls', 'memory', 'start'] as const
export type Workload = (typeof workloads)[number]

/** How long and how often. Short runs show a direction; only the full ones are worth quoting. */
export type Effort = {
  readonly rounds: number
  readonly warmMs: number
  readonly runMs: number
  readonly rateRounds: number
  readonly rateMs: Readonly<Record<10 | 100 | 1_000, number>>
  readonly holdMs: number
  readonly memoryRounds: number
  readonly starts: number
}

export type Options = {
  readonly effort: Effort
  readonly only: readonly string[] | null
  readonly workloads: readonly Workload[]
  readonly profile: boolean
  /** Given to Node for Outrider and the bare proxy, to try them. */
  readonly flags: readonly string[]
}

const full: Effort = {
  rounds: 7,
  warmMs: 4_000,
  runMs: 3_000,
  rateRounds: 4,
  rateMs: { 10: 10_000, 100: 5_000, 1_000: 3_000 },
  holdMs: 6_000,
  memoryRounds: 3,
  starts: 11,
}

const quick: Effort = {
  rounds: 3,
  warmMs: 2_000,
  runMs: 1_500,
  rateRounds: 2,
  rateMs: { 10: 5_000, 100: 2_000, 1_000: 2_000 },
  holdMs: 4_000,
  memoryRounds: 1,
  starts: 5,
}

export const usage = `npm run bench -- [--quick] [--only outrider,envoy] [--workload ${workloads.join(',')}] [--rounds n] [--profile] [--flags=--max-semi-space-size=4]`

export const help = `${usage}

Measures Outrider beside nginx, Envoy and Portkey on this machine (Linux), fetches those itself, and prints ratios.

  --quick            shorter and fewer runs, which show a direction
  --only A,B         these only, beside the calls without a proxy
  --workload A,B     these only
  --rounds N         so many of each
  --profile          where the time of Outrider goes, in place of figures
  --flags=FLAGS      given to Node for Outrider and the bare proxy
  --help             this text`

/** Reads the command line, or throws with a sentence about what is wrong with it. */
export function readOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: { type: 'boolean', default: false },
      profile: { type: 'boolean', default: false },
      only: { type: 'string' },
      workload: { type: 'string' },
      rounds: { type: 'string' },
      flags: { type: 'string', default: '' },
    },
  })
  const effort = values.quick ? quick : full
  const rounds = Number(values.rounds ?? effort.rounds)
  if (!Number.isInteger(rounds) || rounds < 1) throw new Error(`--rounds ${values.rounds}: a whole number from 1 is needed`)
  return {
    effort: { ...effort, rounds, rateRounds: values.rounds === undefined ? effort.rateRounds : rounds },
    only: values.only?.split(',') ?? null,
    workloads: values.workload?.split(',').map(workload) ?? workloads,
    profile: values.profile,
    flags: values.flags.split(' ').filter(Boolean),
  }
}

function workload(name: string): Workload {
  const known = workloads.find((one) => one === name)
  if (known === undefined) throw new Error(`--workload ${name}: there is ${workloads.join(', ')}`)
  return known
}
