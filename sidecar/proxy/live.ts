import { ConfigRefused, type Config } from '../config/config.ts'
import { onOver, type Life } from './life.ts'
import { memoryLimit } from './memoryLimit.ts'
import { openServing, type Lasting, type Say, type Serving } from './serving.ts'

/** What calls are served with now. */
export interface Live {
  /** Read once for each call, which then ends on what it read. */
  current: Serving
  /** Goes over to another config: everything is opened before anything changes. `prepare` does the same for the ports. */
  readonly replace: (next: Config, prepare: (next: Config) => () => void) => Promise<void>
  readonly close: () => void
}

export function live(first: Serving, lasting: Lasting, say: Say): Live {
  const { admission, held, log } = lasting
  /** All that is not yet let go of, the current one and those whose calls have not ended. */
  const open = new Set([first])
  let closed = false

  const letGo = (serving: Serving): void => {
    open.delete(serving)
    serving.release()
  }

  const replace: Live['replace'] = async (next, prepare) => {
    const { changesBetween } = await import('../config/changes.ts')
    const said = heldBack(say)
    const serving = await openServing(next, lasting, said.say)
    const before = live.current
    try {
      if (closed) throw new Error('the proxy is being closed')
      mustHaveKeys(serving, before, lasting)
      prepare(next)()
    } catch (err) {
      serving.release()
      throw err
    }
    open.add(serving)
    live.current = serving
    lasting.canaries.adopt(next, serving.candidates)
    held.limit = memoryLimit(next.limits.memory, process.constrainedMemory())
    const news = `config reloaded: ${changesBetween(before.config, next).join('; ')}`
    // Under the old level or the new one: whoever turns the log down or up sees that it happened.
    const told = log.logger.isLevelEnabled('info')
    if (told) say('info', news)
    log.logger.level = next.log.level
    if (!told) say('info', news)
    said.letGo()
    // Sooner or later each of them is over: every wait has a bound.
    afterAll(admission.lives, () => {
      letGo(before)
    })
  }

  const live: Live = {
    current: first,
    replace,
    close: () => {
      closed = true
      for (const checker of lasting.checkers.all()) checker.stop()
      for (const serving of open) letGo(serving)
    },
  }
  return live
}

/** Calls `then` when all of those that are in flight now are over. */
function afterAll(lives: ReadonlySet<Life>, then: () => void): void {
  let left = lives.size
  if (left === 0) return then()
  for (const life of lives) {
    onOver(life, () => {
      left--
      if (left === 0) then()
    })
  }
}

/** At a start a key may come later; in place of one that works, one that does not would be a step back. */
function mustHaveKeys({ targets }: Serving, before: Serving, { configName }: Lasting): void {
  for (const target of targets) {
    if (before.targets.includes(target)) continue
    for (const { credential, key } of target.accounts) {
      try {
        key?.current()
      } catch (err) {
        throw new ConfigRefused(configName, [{ path: `credentials.${credential}`, message: (err as Error).message }])
      }
    }
  }
}

/** What is said while a config is tried is of interest only when it is taken: a refusal has its own words. */
function heldBack(say: Say): { readonly say: Say; readonly letGo: () => void } {
  let waiting: Parameters<Say>[] | undefined = []
  return {
    say: (...words) => {
      if (waiting === undefined) say(...words)
      else waiting.push(words)
    },
    letGo: () => {
      const all = waiting ?? []
      waiting = undefined
      for (const words of all) say(...words)
    },
  }
}
