import type { Call } from '../../sidecar/proxy/call.ts'
import { isCalm, minutes, seconds, type Down, type Faults } from './faults.ts'
import type { Scenario } from './scenario.ts'

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
  readonly attemptsAt: ReadonlyMap<string, number>
  readonly outages: readonly Outage[]
  readonly changes: readonly Change[]
  /** How many faults there were, of all upstreams. */
  readonly faults: number
  /** The least and the largest share that an upstream had in a minute in which all were well. */
  readonly calmShares: { readonly least: number; readonly most: number; readonly minutes: number }
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
  /** From its end to the beginning of the first attempt that was answered; undefined where there was none. */
  readonly seenMs: number | undefined
  /** From its end until it counts as well; undefined where it never counted as ill, or the run ended before. */
  readonly wellMs: number | undefined
}

export interface Change {
  readonly upstream: string
  readonly from: string
  readonly to: string
  readonly at: number
  readonly forMs: number | undefined
}

/** After a fault nothing of it should be left by then. */
const afterMs = 2 * minutes

type Open<Item> = { -readonly [Name in keyof Item]: Item[Name] }

/** Writes down what happens in a run. */
export function figures({ upstreams, calls: wanted }: Scenario, now: () => number) {
  const names = Object.keys(upstreams)
  const all = Object.values(upstreams)
  const outages: Open<Outage>[] = names.flatMap((upstream) =>
    (upstreams[upstream]?.down ?? []).map((down) => ({ ...down, upstream, calls: 0, attempts: 0, seenMs: undefined, wellMs: undefined })),
  )
  const lost = new Map<string, number>()
  const attemptsAt = new Map(names.map((name) => [name, 0]))
  const added = new Float64Array(wanted)
  const addedToRepeated: number[] = []
  const changes: Change[] = []
  const shares = calmShares(names, all)
  let calls = 0
  let answered = 0
  let attempts = 0

  return {
    asked: (call: Call, name: string): void => {
      attempts++
      attemptsAt.set(name, (attemptsAt.get(name) ?? 0) + 1)
      if (call.facts.attempts === 1) shares.count(name, now())
      for (const outage of outages) if (isWithin(outage, call.facts.beganMs)) outage.attempts++
    },
    over: ({ facts, plan }: Call, status: number): void => {
      const { beganMs, queuedMs, upstream, error, unrepeated } = facts
      for (const outage of outages) if (isWithin(outage, beganMs)) outage.calls++
      const at = calls++
      if (status !== 200 || error !== undefined) {
        const why = `${status} ${error ?? 'as it came'}, ${unrepeated ?? plan?.outcome ?? 'not repeated'}`
        lost.set(why, (lost.get(why) ?? 0) + 1)
        return
      }
      answered++
      const ms = queuedMs - beganMs
      added[at] = ms
      if (facts.attempts > 1) addedToRepeated.push(ms)
      for (const outage of outages) {
        if (outage.upstream !== upstream || queuedMs < outage.toMs) continue
        outage.seenMs = Math.min(outage.seenMs ?? Infinity, queuedMs - outage.toMs)
      }
    },
    log: (lines: string): void => {
      for (const line of lines.split('\n')) {
        if (!line.includes('"from"')) continue
        const { upstream, from, to } = JSON.parse(line) as Change
        changes.push({ upstream, from, to, at: now(), forMs: undefined })
        if (to !== 'healthy' && to !== 'slow_start') continue
        for (const outage of outages) if (outage.upstream === upstream && now() >= outage.toMs) outage.wellMs ??= now() - outage.toMs
      }
    },
    figures: (): Figures => ({
      calls,
      answered,
      attempts,
      lost,
      addedMs: quantilesOf(added.subarray(0, calls).sort()),
      addedToRepeatedMs: quantilesOf(Float64Array.from(addedToRepeated).sort()),
      attemptsAt,
      outages,
      changes,
      faults: outages.length + all.reduce((sum, { limits }) => sum + limitsUntil(limits, now()), 0),
      calmShares: shares.bounds(),
      lastsMs: now(),
    }),
  }
}

const isWithin = ({ fromMs, toMs }: Down, time: number): boolean => time >= fromMs && time < toMs

const limitsUntil = (limits: Faults['limits'], now: number): number =>
  limits.reduce((sum, { firstMs, everyMs }) => sum + Math.max(0, Math.ceil((now - firstMs) / everyMs)), 0)

/** Shares of first attempts, minute by minute: a swing between upstreams shows in them. */
function calmShares(names: readonly string[], all: readonly Faults[]) {
  const counts = new Map(names.map((name) => [name, 0]))
  let least = 1
  let most = 0
  let calm = 0
  let minute = 0
  const close = (): void => {
    const sum = [...counts.values()].reduce((total, count) => total + count, 0)
    const endMs = (minute + 1) * minutes
    if (sum > 0 && all.every((faults) => isCalm(faults, endMs, minutes + afterMs / 2))) {
      calm++
      for (const count of counts.values()) {
        least = Math.min(least, count / sum)
        most = Math.max(most, count / sum)
      }
    }
    for (const name of names) counts.set(name, 0)
  }
  return {
    count: (name: string, now: number): void => {
      if (now >= (minute + 1) * minutes) {
        close()
        minute = Math.floor(now / minutes)
      }
      counts.set(name, (counts.get(name) ?? 0) + 1)
    },
    bounds: () => ({ least, most, minutes: calm }),
  }
}

function quantilesOf(sorted: Float64Array): Quantiles {
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
  return { p50: at(0.5), p99: at(0.99), p999: at(0.999), most: sorted.at(-1) ?? 0 }
}

export const inSeconds = (ms: number): string => (ms / seconds).toFixed(1)
