import type { Socket } from 'node:net'
import { streamEnd, streamEvent } from './wire.ts'

type Stream = { readonly socket: Socket; left: number }
type Wheel = { readonly slots: Set<Stream>[]; next: number; turned: number }

const wheels = new Map<number, Wheel>()
let ticking = false

/**
 * Sends an event every `everyMs` until `events` are sent. The streams are spread over the ms of their pace, five a ms at a hundred streams
 * of 20 ms: sent all in one go, a proxy could serve them for the price of a few wake-ups, which no real model allows.
 */
export function pace(socket: Socket, events: number, everyMs: number): void {
  const wheel = wheelOf(everyMs)
  const slot = wheel.slots[wheel.next++ % everyMs]
  if (slot === undefined) return
  const stream = { socket, left: events }
  slot.add(stream)
  socket.once('close', () => slot.delete(stream))
  if (ticking) return
  ticking = true
  setInterval(turn, 1).unref()
}

function wheelOf(everyMs: number): Wheel {
  const known = wheels.get(everyMs)
  if (known) return known
  const wheel = { slots: Array.from({ length: everyMs }, () => new Set<Stream>()), next: 0, turned: Math.floor(performance.now()) }
  wheels.set(everyMs, wheel)
  return wheel
}

function turn(): void {
  const now = Math.floor(performance.now())
  for (const [everyMs, wheel] of wheels) {
    // After a stall longer than a turn, events are late rather than sent twice at once.
    wheel.turned = Math.max(wheel.turned, now - everyMs)
    while (wheel.turned < now) {
      const slot = wheel.slots[++wheel.turned % everyMs]
      if (slot) for (const stream of slot) step(stream, slot)
    }
  }
}

function step(stream: Stream, slot: Set<Stream>): void {
  if (stream.left-- > 0) {
    stream.socket.write(streamEvent)
    return
  }
  slot.delete(stream)
  stream.socket.write(streamEnd)
}
