import type { Alarm, Clock } from '../clock.ts'
import type { SidecarError } from '../errors.ts'
import { offCancel, onCancel, type Life } from '../life.ts'
import type { Connection } from './connection.ts'

/** A call that waits for a connection. */
export interface Waiter {
  readonly life: Life
  /** Takes no connection that has carried a call. */
  readonly fresh: boolean
  readonly give: (connection: Connection) => void
  readonly refuse: (err: SidecarError) => void
}

interface Place extends Waiter {
  readonly leave: (reason: SidecarError) => void
  alarm: Alarm | undefined
}

export interface Queue {
  /** Those who wait. */
  readonly length: () => number
  readonly join: (waiter: Waiter) => void
  /** Takes the first out of the queue who can do with what there is; undefined when nobody can. */
  readonly next: (used: boolean) => Waiter | undefined
  /** Bounds the wait of the n-th, from 0, and of the last. */
  readonly bound: (nth: number) => void
  /** Sends everyone away. */
  readonly close: (reason: SidecarError) => void
}

export interface QueueOptions {
  readonly clock: Clock
  readonly waitMs: number
  /** Why someone has waited too long. */
  readonly tooLong: () => SidecarError
  /** Hears when someone went away unserved. */
  readonly onLeave: () => void
}

/** The calls that wait for a connection, in the order in which they came. */
export function queue({ clock, waitMs, tooLong, onLeave }: QueueOptions): Queue {
  const places: Place[] = []

  const remove = (place: Place): void => {
    const at = places.indexOf(place)
    if (at >= 0) places.splice(at, 1)
    clock.clear(place.alarm)
    offCancel(place.life, place.leave)
  }

  const setAlarm = (place: Place | undefined): void => {
    if (place === undefined || place.alarm !== undefined) return
    place.alarm = clock.set(waitMs, () => {
      place.leave(tooLong())
    })
  }

  return {
    length: () => places.length,
    join: (waiter) => {
      const place: Place = {
        ...waiter,
        leave: (reason) => {
          remove(place)
          onLeave()
          waiter.refuse(reason)
        },
        alarm: undefined,
      }
      // Who wants a new connection has met a dead one, and has waited before.
      if (waiter.fresh) places.unshift(place)
      else places.push(place)
      onCancel(waiter.life, place.leave)
    },
    next: (used) => {
      const place = used ? places.find(({ fresh }) => !fresh) : places[0]
      if (place !== undefined) remove(place)
      return place
    },
    bound: (nth) => {
      setAlarm(places[nth])
      setAlarm(places.at(-1))
    },
    close: (reason) => {
      while (places[0] !== undefined) places[0].leave(reason)
    },
  }
}
