/** One bound on one wait. */
export interface Alarm {
  due: number
  slot: number
  ring: (() => void) | undefined
  before: Alarm | undefined
  after: Alarm | undefined
}

/** Time as the layers see it, so that a test or a simulation can bring its own. */
export interface Clock {
  now: () => number
  /** Rings once, `ms` from now or up to a tick later. */
  set: (ms: number, ring: () => void) => Alarm
  /** Puts the ring off to `ms` from now without touching the wheel: this is done for every chunk. */
  putOff: (alarm: Alarm, ms: number) => void
  clear: (alarm: Alarm | undefined) => void
  /** How many alarms are set; zero when nothing waits. */
  pending: () => number
}

/** What a wheel turns by; a test or a simulation brings its own. */
export interface Pendulum {
  readonly now: () => number
  /** Calls once, in `ms` or somewhat later; the answer stops it. */
  readonly wake: (ms: number, call: () => void) => () => void
}

const ofProcess: Pendulum = {
  now: () => performance.now(),
  wake: (ms, call) => {
    const timer = setTimeout(call, ms)
    timer.unref()
    return () => {
      clearTimeout(timer)
    }
  },
}

/** Coarse enough that thousands of waits share a wake-up, fine enough for the shortest timeout anyone sets. */
const tickMs = 50
const slots = 1024
/** Timers of Node take no more, and ring at once when asked to. */
const longestSleepMs = 2 ** 31 - 1

/**
 * One wheel for every wait of the process: setting and clearing cost nanoseconds where a timer each costs a microsecond,
 * and an idle process is not woken at all.
 */
export function wheel({ now, wake: sleep }: Pendulum = ofProcess): Clock {
  const ring: (Alarm | undefined)[] = Array.from({ length: slots })
  let pending = 0
  let done = 0
  let stopSleep: (() => void) | undefined
  let wakeTick = Infinity
  const defects: { thrown: unknown }[] = []

  const tickOf = (ms: number): number => Math.ceil(ms / tickMs)

  const link = (alarm: Alarm): void => {
    // Never into a tick that has been visited: it would wait a whole turn of the wheel.
    const tick = Math.max(tickOf(alarm.due), done + 1)
    alarm.slot = tick % slots
    const head = ring[alarm.slot]
    alarm.before = undefined
    alarm.after = head
    if (head !== undefined) head.before = alarm
    ring[alarm.slot] = alarm
    pending++
    if (tick < wakeTick) wakeAt(tick)
  }

  const unlink = (alarm: Alarm): void => {
    if (alarm.before === undefined) ring[alarm.slot] = alarm.after
    else alarm.before.after = alarm.after
    if (alarm.after !== undefined) alarm.after.before = alarm.before
    alarm.slot = -1
    pending--
  }

  const wakeAt = (tick: number): void => {
    stopSleep?.()
    wakeTick = tick
    stopSleep = sleep(Math.min(longestSleepMs, Math.max(1, tick * tickMs - now())), wake)
  }

  const wake = (): void => {
    stopSleep = undefined
    wakeTick = Infinity
    const time = now()
    const last = Math.floor(time / tickMs)
    for (let tick = Math.max(done + 1, last - slots + 1); tick <= last; tick++) visit(tick, time)
    // Also when a ring has just set an alarm: others may be due before it.
    if (pending > 0) sleepOn()
    // A defect in one ring is told like any other, but only when everyone has been rung.
    const [defect] = defects.splice(0)
    if (defect !== undefined) throw defect.thrown
  }

  const visit = (tick: number, time: number): void => {
    done = tick
    let alarm = ring[tick % slots]
    const late: Alarm[] = []
    while (alarm !== undefined) {
      const { after } = alarm
      unlink(alarm)
      if (alarm.due <= time) late.push(alarm)
      else link(alarm)
      alarm = after
    }
    for (const one of late) {
      const { ring: tell } = one
      one.ring = undefined
      try {
        tell?.()
      } catch (thrown) {
        defects.push({ thrown })
      }
    }
  }

  const sleepOn = (): void => {
    for (let tick = done + 1; tick <= done + slots; tick++) {
      if (tick >= wakeTick) return
      if (ring[tick % slots] !== undefined) return wakeAt(tick)
    }
  }

  return {
    now,
    set: (ms, tell) => {
      const time = now()
      if (pending === 0) done = Math.floor(time / tickMs)
      const alarm: Alarm = { due: time + ms, slot: -1, ring: tell, before: undefined, after: undefined }
      link(alarm)
      return alarm
    },
    putOff: (alarm, ms) => {
      alarm.due = now() + ms
    },
    clear: (alarm) => {
      if (alarm === undefined) return
      alarm.ring = undefined
      if (alarm.slot >= 0) unlink(alarm)
    },
    pending: () => pending,
  }
}
