import { wheel, type Clock } from '../../sidecar/proxy/clock.ts'

/** Time that passes only when nothing is left to do. */
export interface World {
  readonly now: () => number
  /** Calls once, at that time; the answer stops it. */
  readonly at: (time: number, call: () => void) => () => void
  /** The real wheel, turned by this time. */
  readonly clock: Clock
  /** Resolves when that is so, or when nothing will ever happen any more. */
  readonly run: (isOver?: () => boolean) => Promise<void>
}

interface Event {
  readonly time: number
  readonly turn: number
  call: (() => void) | undefined
}

/** Events asked of the event loop at a time: one each would cost a look at all of the process's sockets for each. */
const batch = 512

export function world(): World {
  const heap = eventHeap()
  let time = 0
  let turns = 0

  const at: World['at'] = (when, call) => {
    const event: Event = { time: Math.max(when, time), turn: turns++, call }
    heap.push(event)
    return () => {
      event.call = undefined
    }
  }

  const step = (): void => {
    for (let event = heap.pop(); event !== undefined; event = heap.pop()) {
      const { call } = event
      if (call === undefined) continue
      ;({ time } = event)
      return call()
    }
  }

  return {
    now: () => time,
    at,
    clock: wheel({ now: () => time, wake: (ms, call) => at(time + ms, call) }),
    run: (isOver = () => false) =>
      new Promise((done, failed) => {
        const guarded = (): void => {
          try {
            step()
          } catch (err) {
            failed(err as Error)
          }
        }
        const more = (): void => {
          if (heap.isEmpty() || isOver()) return done()
          // Between two of them Node settles every promise that can settle, however long the chain: what an event sets off is over before
          // the time of the next one begins.
          for (let n = 0; n < batch; n++) setImmediate(guarded)
          setImmediate(more)
        }
        more()
      }),
  }
}

/** The earliest first, and what was asked for first where the times are equal: a run must be the same each time. */
function eventHeap() {
  const heap: Event[] = []
  const isBefore = (one: Event, other: Event): boolean => one.time < other.time || (one.time === other.time && one.turn < other.turn)
  return {
    isEmpty: () => heap.length === 0,
    push: (event: Event): void => {
      let at = heap.length
      while (at > 0) {
        const above = (at - 1) >> 1
        const parent = heap[above] as Event
        if (!isBefore(event, parent)) break
        heap[at] = parent
        at = above
      }
      heap[at] = event
    },
    pop: (): Event | undefined => {
      const [first] = heap
      const last = heap.pop()
      if (last === undefined || last === first) return first
      let at = 0
      for (;;) {
        let below = 2 * at + 1
        if (below >= heap.length) break
        if (below + 1 < heap.length && isBefore(heap[below + 1] as Event, heap[below] as Event)) below++
        const child = heap[below] as Event
        if (!isBefore(child, last)) break
        heap[at] = child
        at = below
      }
      heap[at] = last
      return first
    },
  }
}
