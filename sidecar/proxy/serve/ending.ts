import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

/** How long a client that still sends is read from after its answer. */
const lingerMs = 2_000

const ending = new WeakSet<Socket>()

/** True for a connection on which no further call is served, though more may have come in. */
export const isEnding = (socket: Socket): boolean => ending.has(socket)

export const markEnding = (socket: Socket): void => {
  ending.add(socket)
}

/** Makes this answer the last one on its connection, and says so to the client. */
export function endAfter(res: ServerResponse, socket: Socket): void {
  res.shouldKeepAlive = false
  if (ending.has(socket)) return
  ending.add(socket)
  // What node:http calls behind the last answer. Its own closes at once, and what the client still sends would then reset the connection
  // before the client has read why.
  socket.destroySoon = () => {
    linger(socket)
  }
}

/** Closes our side now, and the rest when the client has closed its own, or has had time to. */
export function linger(socket: Socket): void {
  if (socket.destroyed) return
  if (!socket.writableEnded) socket.end()
  const closing = setTimeout(() => {
    socket.destroy()
  }, lingerMs)
  closing.unref()
  socket.once('close', () => {
    clearTimeout(closing)
  })
}
