import { exitCodes } from '../exitCodes.ts'
import { Unreached } from './askControl.ts'
import type { CanaryPlan } from './canaryOptions.ts'
import { seenRoute, type Seen, type SeenCanary } from './seen.ts'
import { percent, shortLine } from './words.ts'

export interface Output {
  readonly out: (text: string) => void
  readonly err: (text: string) => void
}

/** Often enough that a rollback is told at once. */
const betweenMs = 1_000
/** People read no faster, and a log of a pipeline is kept. */
const betweenLinesMs = 10_000
/** As long as a pod takes to start again. */
const longestGoneMs = 30_000

interface Watched {
  /** Calls that the canary got since the beginning, over restarts of the process too. */
  readonly calls: number
  readonly failed: number
}

/** Looks at a canary for a while; resolves with how that ended. */
export async function watch(
  name: string,
  { control, forMs, leastCalls, json }: CanaryPlan,
  told: Promise<void>,
  { out, err }: Output,
): Promise<number> {
  const endMs = performance.now() + forMs
  let before: SeenCanary | undefined
  let watched: Watched = { calls: 0, failed: 0 }
  let goneMs: number | undefined
  let saidMs = -Infinity
  let said = ''
  let stopped = false
  void told.then(() => (stopped = true))

  const tell = ({ canary }: Seen, isNews: boolean): void => {
    const line = json ? JSON.stringify({ route: name, ...canary }) : `route ${name}: ${shortLine(canary)}`
    if (line === said || (!isNews && performance.now() - saidMs < betweenLinesMs)) return
    said = line
    saidMs = performance.now()
    out(`${line}\n`)
  }
  const ended = (code: number, line: string): number => {
    if (json) out(`${JSON.stringify({ route: name, ended: code === exitCodes.ok, exit_code: code, ...watched, said: line })}\n`)
    else (code === exitCodes.ok ? out : err)(`${line}\n`)
    return code
  }

  for (;;) {
    const seen = await look(control, name)
    if (seen instanceof Unreached) {
      goneMs ??= performance.now()
      if (before === undefined || performance.now() - goneMs > longestGoneMs) throw seen
      if (!json && said !== seen.message) err(`${(said = seen.message)}\n`)
    } else {
      goneMs = undefined
      const { canary } = seen
      if (before !== undefined) watched = added(watched, before, canary)
      // Also one that somebody has undone since.
      const isBack = canary.state === 'rolled_back' || (before !== undefined && canary.rollbacks > before.rollbacks)
      tell(seen, before?.state !== canary.state || before.version !== canary.version)
      if (isBack) return ended(exitCodes.rolledBack, `The canary of route ${name} was rolled back: ${canary.why}.`)
      before = canary
    }
    const leftMs = endMs - performance.now()
    if (stopped) return ended(exitCodes.failed, 'Told to stop before the time was over.')
    if (leftMs <= 0) break
    await Promise.race([wait(Math.min(betweenMs, leftMs)), told])
  }
  if (goneMs !== undefined)
    return ended(exitCodes.failed, 'At the end of the time the process could not be asked: how the canary went is not known.')
  const { calls, failed } = watched
  if (calls < leastCalls)
    return ended(
      exitCodes.failed,
      `The canary of route ${name} got ${calls} calls in that time, which proves nothing: --calls says ${leastCalls}.`,
    )
  return ended(
    exitCodes.ok,
    `The canary of route ${name} went well: ${calls} calls, ${failed} failed (${percent(calls === 0 ? 0 : failed / calls)}).`,
  )
}

/** One that cannot be reached now may be starting again. */
async function look(control: URL, name: string): Promise<Seen | Unreached> {
  try {
    return await seenRoute(control, name)
  } catch (err) {
    if (err instanceof Unreached) return err
    throw err
  }
}

/** A process that has started again counts from nothing. */
function added(sum: Watched, before: SeenCanary, now: SeenCanary): Watched {
  const [was, is] = [totals(before), totals(now)]
  const isNew = is.calls < was.calls
  return { calls: sum.calls + is.calls - (isNew ? 0 : was.calls), failed: sum.failed + is.failed - (isNew ? 0 : was.failed) }
}

function totals({ since_start: { canary } }: SeenCanary): Watched {
  return { calls: canary.good + canary.failed + canary.refused, failed: canary.failed }
}

const wait = (ms: number): Promise<void> =>
  new Promise((done) => {
    setTimeout(done, ms)
  })
