/** Something that is done again whenever there may be reason to: one run at a time, none forgotten. */
export interface Soon {
  /** Now, or as soon as the run under way is over. */
  readonly now: () => void
  readonly close: () => void
}

export interface SoonOptions {
  /** Answers in how many milliseconds it wants to be done again, if nothing asks for it before. */
  readonly run: () => Promise<number>
  readonly failed: (err: unknown) => void
}

const firstWaitMs = 100
const longestWaitMs = 15_000
/** A timer of the runtime holds no more, and clocks are set: looking now and then costs nothing. */
const longestSleepMs = 60_000

export function soon({ run, failed }: SoonOptions): Soon {
  let running = false
  let again = false
  let closed = false
  let waitMs = firstWaitMs
  let timer: NodeJS.Timeout | undefined

  const go = async (): Promise<void> => {
    if (closed) return
    again = running
    if (running) return
    running = true
    clearTimeout(timer)
    let sleepMs: number
    try {
      sleepMs = await run()
      waitMs = firstWaitMs
    } catch (err) {
      failed(err)
      sleepMs = waitMs * (0.5 + Math.random() / 2)
      waitMs = Math.min(longestWaitMs, waitMs * 2)
      // What came meanwhile is no reason to hurry: it would be tried in vain again.
      again = false
    }
    running = false
    if (closed) return
    if (again) return go()
    timer = setTimeout(() => void go(), Math.min(longestSleepMs, Math.max(firstWaitMs, sleepMs)))
    timer.unref()
  }

  return {
    now: () => void go(),
    close: () => {
      closed = true
      clearTimeout(timer)
    },
  }
}
