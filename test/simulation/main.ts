import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { parse } from 'yaml'
import { ConfigRefused } from '../../sidecar/config/refused.ts'
import { report } from './report.ts'
import { simulate } from './run.ts'
import type { Scenario } from './scenario.ts'
import { allDown, calm, daily, others } from './scenarios.ts'

const example = 'for example: npm run simulate -- --seed 7 --calls 100000 --only limits'
const help = `npm run simulate -- [--seed N] [--calls N] [--only TEXT] [--config FILE]

Sends calls through the real layers in virtual time, and says which goals are reached; ends with 1 if one is missed.

  --seed N      another day; 1 unless given
  --calls N     so many on that day; 1000000 unless given
  --only TEXT   the scenarios that have this in their name
  --config FILE settings in place of the defaults, without upstreams
  --help        this text`
const values = said()
const seed = Number(values.seed)
const calls = Number(values.calls)
if (!Number.isSafeInteger(seed) || seed < 0 || !Number.isSafeInteger(calls) || calls < 1) {
  console.error(`simulate: --seed wants a whole number, --calls one above 0, ${example}`)
  process.exit(2)
}

const settings = values.config === '' ? {} : settingsIn(values.config)
const scenarios: readonly Scenario[] = [
  daily({ seed, calls }),
  ...(['refused', 'busy', 'unreachable'] as const).map((how) => allDown({ seed, how })),
  calm({ seed, calls: 100_000 }),
  ...others(seed),
]
  .filter(({ name }) => name.includes(values.only))
  .map((scenario) => ({ ...scenario, document: { ...scenario.document, ...settings } }))
if (scenarios.length === 0) {
  console.error(`simulate: no scenario has "${values.only}" in its name`)
  process.exit(2)
}

let missed = 0
for (const scenario of scenarios) {
  const figures = await simulate(scenario).catch(refused)
  const verdicts = scenario.goals.map((goal) => goal(figures))
  missed += verdicts.filter(({ met }) => !met).length
  console.log(report(scenario, figures, verdicts))
}
console.log(missed === 0 ? 'All goals are reached.' : `${missed} goal${missed === 1 ? ' is' : 's are'} MISSED.`)
process.exitCode = missed === 0 ? 0 : 1

function refused(err: unknown): never {
  if (!(err instanceof ConfigRefused)) throw err
  const problems = err.problems.map(({ path, message }) => `\n  ${path}: ${message}`)
  console.error(`simulate: --config ${values.config}:${problems.join('')}`)
  process.exit(2)
}

/** The scenarios bring upstreams of their own. */
function settingsIn(file: string): object {
  try {
    const { upstreams: _, ...rest } = parse(readFileSync(file, 'utf8')) as { upstreams?: unknown }
    return rest
  } catch (err) {
    console.error(`simulate: --config ${file}: ${(err as Error).message}`)
    process.exit(2)
  }
}

function said(): { seed: string; calls: string; only: string; config: string } {
  try {
    const { values } = parseArgs({
      options: {
        seed: { type: 'string', default: '1' },
        calls: { type: 'string', default: '1000000' },
        only: { type: 'string', default: '' },
        config: { type: 'string', default: '' },
        help: { type: 'boolean', default: false },
      },
    })
    if (values.help) {
      console.log(help)
      process.exit(0)
    }
    return values
  } catch (err) {
    console.error(`simulate: ${(err as Error).message.split('. ')[0]}; there are --seed, --calls, --only and --config, ${example}`)
    process.exit(2)
  }
}
