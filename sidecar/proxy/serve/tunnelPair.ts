import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import type { Alarm, Clock } from '../clock.ts'
import { SidecarError } from '../errors.ts'
import type { Facts } from '../facts.ts'
import { closeFrame, frames, type Frames } from './frames.ts'

export interface PairOptions {
  readonly clock: Clock
  readonly client: Socket
  readonly upstream: Socket
  readonly facts: Facts
  readonly idleMs: number
  /** Hears once, when both sockets are gone. */
  readonly over: (failure: SidecarError | undefined) => void
}

export interface Pair {
  /** Says goodbye in both directions, each at the end of the frame it is in, and ends the sockets. */
  readonly close: (code: number, reason: string, failure: SidecarError) => void
}

/** How long a frame may take to end, and then the other side to close, before its connection is reset. */
const goodbyeMs = 1_000

/** One direction. The bytes are moved by http-proxy's pipe as long as nobody says goodbye. */
interface Way {
  readonly from: Socket
  readonly to: Socket
  readonly masked: boolean
  readonly frames: Frames
  readonly moved: (bytes: number) => void
  readonly watch: (chunk: Buffer) => void
}

/** Watches an upgraded connection to the end of both its sockets: silence, broken ends, and the goodbye. Moves no byte while all is well. */
export function pair({ clock, client, upstream, facts, idleMs, over }: PairOptions): Pair {
  let failure: SidecarError | undefined
  let closing = false
  let open = 2
  let last: Alarm | undefined

  const down = wayFrom(upstream, client, false, (bytes) => {
    if (facts.bytesOut === 0) facts.firstByteMs = clock.now()
    facts.bytesOut += bytes
    clock.putOff(idle, idleMs)
  })
  const up = wayFrom(client, upstream, true, (bytes) => {
    facts.bytesIn += bytes
    clock.putOff(idle, idleMs)
  })

  const cut = (): void => {
    for (const socket of [client, upstream]) {
      // What has not gone out is lost now, and only a reset says so.
      if (socket.writableFinished) socket.destroy()
      else reset(socket)
    }
  }

  const close: Pair['close'] = (code, reason, why) => {
    if (closing) return
    closing = true
    failure ??= why
    clock.clear(idle)
    last ??= clock.set(goodbyeMs, cut)
    for (const way of [down, up]) sayGoodbye(way, closeFrame(code, reason, way.masked))
  }

  const fail = (err: SidecarError): void => {
    close(1011, `Outrider: ${err.message} (${err.kind})`, err)
  }

  /** One end has nothing more to say: what it said still goes out, and then the other end has a moment to close too. */
  const half = ({ to }: Way): void => {
    const wait = (): void => {
      if (open > 0) last ??= clock.set(goodbyeMs, cut)
    }
    if (to.writableFinished) wait()
    else to.once('finish', wait)
  }

  const gone = (): void => {
    if (--open > 0) return
    clock.clear(idle)
    clock.clear(last)
    over(failure)
  }

  const idle = clock.set(idleMs, () => {
    fail(new SidecarError('idle_timeout', `no frame in either direction for ${idleMs / 1_000} s (timeouts.webSocketIdle)`))
  })
  const upstreamLeft = (how: string): void => {
    if (!closing && !isComplete(down)) fail(new SidecarError('reply_cut', `the upstream ${how} without a close frame`))
  }
  const clientLeft = (): void => {
    if (!closing && !isComplete(up)) failure ??= new SidecarError('client_gone', 'the client closed its connection without a close frame')
  }

  // http-proxy ends the client's socket at once on an error of the upstream's; it must be told why first.
  upstream.removeAllListeners('error').on('error', (err: NodeJS.ErrnoException) => {
    upstreamLeft(`broke the connection (${err.code ?? err.message})`)
  })
  // In front of the pipe's own listener, which ends the client's side.
  upstream.prependListener('end', () => {
    upstreamLeft('closed the connection')
    half(down)
  })
  client.prependListener('end', () => {
    clientLeft()
    half(up)
  })
  client.once('close', () => {
    clientLeft()
    // Broken, not ended: nobody waits for what is under way in either direction.
    if (!client.readableEnded) upstream.destroy()
    half(up)
    gone()
  })
  upstream.once('close', () => {
    half(down)
    gone()
  })
  return { close }
}

const isComplete = ({ frames: counter }: Way): boolean => counter.closed() && counter.between()

function wayFrom(from: Socket, to: Socket, masked: boolean, moved: (bytes: number) => void): Way {
  const counter = frames()
  const watch = (chunk: Buffer): void => {
    moved(chunk.length)
    for (let at = 0; at < chunk.length;) at = counter.take(chunk, at)
  }
  from.on('data', watch)
  return { from, to, masked, frames: counter, moved, watch }
}

/** Takes the direction over from the pipe, which cannot stop in the middle of a chunk: the frame under way goes out, ours behind it. */
function sayGoodbye({ from, to, frames: counter, moved, watch }: Way, frame: Buffer): void {
  from.off('data', watch)
  from.unpipe(to)
  const settle = (): void => {
    from.off('data', rest)
    if (to.writable && !counter.closed()) to.write(frame)
    if (to.writable) to.end()
    // What still comes is dropped; unread, it would reset the connection in front of the goodbye.
    from.resume()
  }
  const rest = (chunk: Buffer): void => {
    const end = counter.take(chunk, 0)
    moved(end)
    const more = to.write(chunk.subarray(0, end))
    if (counter.between()) return settle()
    if (more) return
    from.pause()
    to.once('drain', () => {
      from.resume()
    })
  }
  if (counter.between() || !to.writable) return settle()
  // The rest of that frame will never come.
  if (from.readableEnded || from.destroyed) return reset(to)
  from.on('data', rest)
  from.once('end', () => {
    if (!counter.between()) reset(to)
  })
  from.resume()
}

/** Over TLS only the closing without a farewell can be had; it too says that something is missing. */
function reset(socket: Socket): void {
  if (socket.destroyed) return
  if (socket instanceof TLSSocket) socket.destroy()
  else socket.resetAndDestroy()
}
