import type { Call } from '../../sidecar/proxy/call.ts'
import type { Metrics } from '../../sidecar/observe/metrics.ts'
import { isCalm, limitedUntil, minutes, noFaults, seconds, type Down, type Faults } from './faults.ts'
import { shares, type Shares } from './shares.ts'

/** What came of a run. */
export interface Figures {
  readonly calls: number
  readonly answered: number
  readonly attempts: number
  /** Calls that were not answered, by what they were told and why they were not tried again. */
  readonly lost: ReadonlyMap<string, number>
  /** Time that went by before the attempt that was answered began: over all calls, and over those that took more than one. */
  readonly addedMs: Quantiles
  readonly addedToRepeatedMs: Quantiles
  /** Until the first byte, of all that were answered. */
  readonly firstByteMs: Quantiles
  readonly attemptsAt: ReadonlyMap<string, number>
  readonly outages: readonly Outage[]
  readonly changes: readonly Change[]
  /** Those of upstreams that had no fault, and had none for a while. */
  readonly groundless: number
  /** How often an upstream reached its limit. */
  readonly limits: number
  readonly shares: Shares
  readonly lastsMs: number
}

export interface Quantiles {
  readonly p50: number
  readonly p99: number
  readonly p999: number
  readonly most: number
}

/** A time in which an upstream was down. */
export interface Outage extends Down {
  readonly upstream: string
  /** Calls that came meanwhile, and the attempts that were made for them anywhere. */
  readonly calls: number
  readonly attempts: number
  /** When it can answer calls again: it may be over its limit when it comes back. */
  readonly backMs: number
  /** From then to the beginning of the first attempt that was answered; undefined where there was none. */
  readonly seenMs: number | undefined
  /** Attempts at it in the first seconds in which it was asked again, and those at all upstreams meanwhile. */
  readonly early: { readonly own: number; readonly all: number }
}

export interface Change {
  readonly upstream: string
  readonly to: string
  readonly at: number
}

/** A third of a slow start. */
const earlyMs = 10 * seconds

interface Open extends Pick<Outage, keyof Down | 'upstream' | 'backMs'> {
  calls: number
  attempts: number
  seenMs: number | undefined
  askedAt: number | undefined
  early: { own: number; all: number }
}

type Told = Parameters<Metrics['changed']>[0]

/** Nothing of a fault should be left by then. */
const afterMs = 2 * minutes

/** Writes down what happens in a run. */
export function figures(upstreams: Readonly<Record<string, Faults>>, now: () => number) {
  const names = Object.keys(upstreams)
  const outages: Open[] = Object.entries(upstreams).flatMap(([upstream, faults]) =>
    faults.down.map((down) => {
      const backMs = limitedUntil(faults, down.toMs)?.untilMs ?? down.toMs
      return { ...down, upstream, calls: 0, attempts: 0, backMs, seenMs: undefined, askedAt: undefined, early: { own: 0, all: 0 } }
    }),
  )
  const lost = new Map<string, number>()
  const attemptsAt = new Map(names.map((name) => [name, 0]))
  const added: number[] = []
  const addedToRepeated: number[] = []
  const firstByte: number[] = []
  const changes: Change[] = []
  const share = shares(upstreams)
  let calls = 0
  let attempts = 0

  return {
    asked: ({ facts }: Call, name: string): void => {
      attempts++
      attemptsAt.set(name, (attemptsAt.get(name) ?? 0) + 1)
      if (facts.attempts === 1) share.count(name, now())
      for (const outage of outages) {
        if (isWithin(outage, facts.beganMs)) outage.attempts++
        if (outage.upstream === name && now() >= outage.backMs) outage.askedAt ??= now()
        if (outage.askedAt === undefined || now() > outage.askedAt + earlyMs) continue
        outage.early.all++
        if (outage.upstream === name) outage.early.own++
      }
    },
    over: ({ facts, plan }: Call, status: number): void => {
      const { beganMs, queuedMs, firstByteMs, upstream, error, unrepeated } = facts
      calls++
      for (const outage of outages) if (isWithin(outage, beganMs)) outage.calls++
      if (status !== 200 || error !== undefined) {
        const why = `${status} ${error ?? 'as it came'}, ${unrepeated ?? plan?.outcome ?? 'not repeated'}`
        lost.set(why, (lost.get(why) ?? 0) + 1)
        return
      }
      added.push(queuedMs - beganMs)
      if (facts.attempts > 1) addedToRepeated.push(queuedMs - beganMs)
      firstByte.push(firstByteMs - beganMs)
      for (const outage of outages) {
        const sinceMs = queuedMs - outage.backMs
        if (outage.upstream === upstream && sinceMs >= 0) outage.seenMs = Math.min(outage.seenMs ?? Infinity, sinceMs)
      }
    },
    changed: ({ upstream, to }: Told): void => {
      changes.push({ upstream, to, at: now() })
    },
    calls: () => calls,
    figures: (): Figures => ({
      calls,
      answered: added.length,
      attempts,
      lost,
      addedMs: quantilesOf(added),
      addedToRepeatedMs: quantilesOf(addedToRepeated),
      firstByteMs: quantilesOf(firstByte),
      attemptsAt,
      outages,
      changes,
      groundless: changes.filter(({ upstream, at }) => isCalm(upstreams[upstream] ?? noFaults, at, afterMs)).length,
      limits: Object.values(upstreams).reduce((sum, faults) => sum + limitsUntil(faults, now()), 0),
      shares: share.read(),
      lastsMs: now(),
    }),
  }
}

const isWithin = ({ fromMs, toMs }: Down, time: number): boolean => time >= fromMs && time < toMs

const limitsUntil = ({ limits }: Faults, now: number): number =>
  limits.reduce((sum, { firstMs, everyMs }) => sum + Math.max(0, Math.ceil((now - firstMs) / everyMs)), 0)

function quantilesOf(list: readonly number[]): Quantiles {
  const sorted = Float64Array.from(list).sort()
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
  return { p50: at(0.5), p99: at(0.99), p999: at(0.999), most: sorted.at(-1) ?? 0 }
}
