import { proposal, UsageError, type Values } from '../commandOptions.ts'
import { durationPattern, parseDuration } from '../config/units.ts'

export const actions = ['status', 'set', 'promote', 'rollback', 'reset', 'watch'] as const
export type Action = (typeof actions)[number]

export const canaryKinds = {
  control: 'string',
  'token-file': 'string',
  route: 'string',
  reason: 'string',
  version: 'string',
  for: 'string',
  calls: 'string',
  json: 'boolean',
} as const

/** What the command line says, understood. */
export interface CanaryPlan {
  readonly action: Action
  readonly control: URL
  readonly tokenFile: string | undefined
  /** Where it is left out, the only one that has a canary. */
  readonly route: string | undefined
  readonly json: boolean
  /** Of `set`. */
  readonly weight: number
  readonly reason: string | undefined
  /** Of a change: the version that it is made to. */
  readonly version: number | undefined
  /** Of `watch`. */
  readonly forMs: number
  readonly leastCalls: number
}

/** Where an option means something; the others belong to all. */
const only: Readonly<Record<string, readonly Action[]>> = {
  'token-file': ['set', 'promote', 'rollback', 'reset'],
  reason: ['set'],
  version: ['set', 'promote', 'rollback', 'reset'],
  for: ['watch'],
  calls: ['watch'],
}

export function canaryPlan(operands: readonly string[], written: Values<typeof canaryKinds>): CanaryPlan {
  const [word, ...rest] = operands
  if (word === undefined) throw new UsageError(`canary needs one of ${actions.join(', ')}.`)
  const action = actions.find((one) => one === word)
  if (action === undefined) throw new UsageError(`canary has no "${word}".${proposal(word, actions)}`)
  for (const [name, where] of Object.entries(only)) {
    if (name in written && !where.includes(action)) throw new UsageError(`canary ${action} has no option --${name}.`)
  }
  const weight = weightOf(action, rest)
  if (action !== 'set' && rest[0] !== undefined) throw new UsageError(`canary ${action} takes options only, and "${rest[0]}" is none.`)
  if (action in changes && written['token-file'] === undefined) {
    throw new UsageError(
      `canary ${action} needs --token-file: the file with the token, which control.tokenFile in the config of the sidecar names.`,
    )
  }
  return {
    action,
    control: controlOf(written.control ?? 'http://localhost:9091'),
    tokenFile: written['token-file'],
    route: written.route,
    json: written.json ?? false,
    weight,
    reason: reasonOf(written.reason),
    version: wholeNumber('version', written.version),
    forMs: timeOf(written.for ?? '5m'),
    leastCalls: wholeNumber('calls', written.calls) ?? 1,
  }
}

const changes = { set: true, promote: true, rollback: true, reset: true }

function weightOf(action: Action, operands: readonly string[]): number {
  if (action !== 'set') return 0
  const [written, more] = operands
  if (written === undefined || more !== undefined)
    throw new UsageError('canary set takes one weight, such as 25: so many of a hundred calls.')
  const weight = Number(written.replace(/%$/, ''))
  if (/^\d{1,3}(?:\.\d{1,6})?%?$/.test(written) && weight <= 100) return weight
  throw new UsageError(`"${written}" is no weight: write a number from 0 to 100.`)
}

function controlOf(written: string): URL {
  const url = URL.parse(written)
  if (url?.protocol !== 'http:')
    throw new UsageError('--control must be a whole URL that starts with http://, such as http://localhost:9091.')
  return url
}

function reasonOf(written: string | undefined): string | undefined {
  if (written === undefined || /^[\x20-\x7e]{1,200}$/.test(written)) return written
  throw new UsageError('--reason must be one line of plain ASCII, at most 200 characters.')
}

function wholeNumber(option: string, written: string | undefined): number | undefined {
  if (written === undefined) return undefined
  if (/^\d{1,9}$/.test(written)) return Number(written)
  throw new UsageError(`--${option} must be a whole number, not "${written}".`)
}

function timeOf(written: string): number {
  const ms = durationPattern.test(written) ? parseDuration(written) : Number.NaN
  // A timer of the runtime holds no more.
  if (ms > 0 && ms <= 2_147_483_647) return ms
  throw new UsageError(`--for must be a duration up to 24 days, such as 30s or 10m, not "${written}".`)
}

export const canaryHelp = `Usage: outrider canary status | set WEIGHT | promote | rollback | reset | watch [OPTIONS]

Looks at the canary of a route in a running process, changes its weight, or watches it. It asks the control port of that process,
which is on the loopback.

  status          what goes where, and how both sides fare
  set WEIGHT      so many of a hundred calls go to the canary; also after a rollback
  promote         all calls go to the canary from now on, and it is not rolled back by itself any more
  rollback        no call goes there any more, until somebody says otherwise
  reset           the weight that the config says, and what was counted is forgotten
  watch           prints how it goes; ends with 0 when the time is over and it went well, and with 67 when it was rolled back

  --control URL       the control port; http://localhost:9091 unless given
  --token-file FILE   the token that a change must show; needed by all that change something
  --route NAME        the route; where it is left out, the only one that has a canary
  --version N         change only what is still at this version
  --reason TEXT       of set: why, for the log
  --for TIME          of watch: how long, such as 10m; 5m unless given
  --calls N           of watch: fewer calls to the canary in that time prove nothing, and end it with 1; 1 unless given
  --json              print JSON, of watch one document a line
  --help              this text

In a pipeline: canary set 10, canary watch --for 10m, and canary promote if that ended with 0.
`
