import type { Alarm, Clock } from '../clock.ts'
import { SidecarError } from '../errors.ts'
import { watchArrival } from './arrival.ts'
import type { Connection } from './connection.ts'
import type { Outgoing } from './sent.ts'

export interface WritingOptions {
  readonly clock: Clock
  readonly writeMs: number
  readonly connection: Connection
  readonly outgoing: Outgoing
  /** The whole request has been handed to the socket. */
  readonly handed: () => boolean
  readonly stop: (reason: SidecarError) => void
}

/** How often one bound is looked at: a pause may begin right after a look, and is seen this much later at most. */
const looks = 4

/**
 * Bounds the pauses of a request on its way out; the answer ends the watch. Of one that went out in one go, as nearly all do, it is only
 * asked later whether it has arrived.
 */
export function watchWriting({ clock, writeMs, connection, outgoing, handed, stop }: WritingOptions): (() => void) | undefined {
  const { socket } = connection
  // A socket of HTTP/2 moves for others too.
  const shared = connection.capacity > 1
  const isEmpty = (): boolean => shared || socket.writableLength === 0
  if (handed() && isEmpty()) return shared ? undefined : watchArrival({ clock, writeMs, socket, stop })
  const moved = (): number => (shared ? outgoing.progress() : socket.bytesWritten - socket.writableLength)
  let before = moved()
  let movedMs = clock.now()
  let alarm: Alarm | undefined
  let stopArrival: (() => void) | undefined
  const ring = (): void => {
    if (handed() && isEmpty()) {
      if (!shared) stopArrival = watchArrival({ clock, writeMs, socket, stop })
      return
    }
    const now = moved()
    const nowMs = clock.now()
    const waitsForClient = !handed() && isEmpty() && outgoing.waiting()
    if (now !== before || waitsForClient) movedMs = nowMs
    else if (nowMs - movedMs >= writeMs)
      return stop(new SidecarError('write_timeout', `the upstream took nothing of the request for ${writeMs / 1_000} s (timeouts.write)`))
    before = now
    alarm = clock.set(Math.min(writeMs / looks, movedMs + writeMs - nowMs), ring)
  }
  alarm = clock.set(writeMs / looks, ring)
  return () => {
    clock.clear(alarm)
    stopArrival?.()
  }
}
