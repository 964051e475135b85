import { ServerResponse, type IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { Call, Reply } from '../call.ts'
import type { Clock } from '../clock.ts'
import { SidecarError } from '../errors.ts'
import { newFacts } from '../facts.ts'
import { finish, newLife } from '../life.ts'
import { linger } from './ending.ts'
import { pour } from './pour.ts'
import { requestHead } from './requestHead.ts'
import { withoutKey } from './tunnelHeaders.ts'

/** More than a client has reason to send before it knows whether the upgrade succeeds. */
export const earlyBytes = 64 * 1024

/** What a client sends before the 101. */
export interface Early {
  /** Puts all of it back, for whoever reads the socket next. */
  readonly giveBack: () => void
}

/** Reads while nobody else does: behind bytes that nobody takes, the client's leaving would go unseen. */
export function readEarly(socket: Socket, head: Buffer, tooMuch: () => void): Early {
  let held = head.length === 0 ? [] : [head]
  let size = head.length
  const keep = (chunk: Buffer): void => {
    size += chunk.length
    if (size <= earlyBytes) held.push(chunk)
    else tooMuch()
  }
  socket.on('data', keep)
  return {
    giveBack: () => {
      socket.off('data', keep)
      // From a standstill, so that the pipe that follows starts it.
      socket.pause()
      if (held.length > 0) socket.unshift(Buffer.concat(held))
      held = []
    },
  }
}

/** Answers an upgrade like any call: the same writer, on the bare socket, which ends with it. */
export function answerOn(req: IncomingMessage, call: Call, reply: Reply, clock: Clock): void {
  const { socket } = req
  const res = new ServerResponse(req)
  res.shouldKeepAlive = false
  res.assignSocket(socket)
  // The server has let go of the socket, and with it of this.
  socket.on('drain', () => res.emit('drain'))
  res.once('finish', () => {
    res.detachSocket(socket)
    finish(call.life, undefined)
    linger(socket)
  })
  pour(call, reply, { req, res, clock })
}

export interface Upgrade {
  readonly call: Call
  readonly problem: SidecarError | undefined
}

/** The Call that an upgrade is for the layers. */
export function callFrom(req: IncomingMessage, { now, mostLines, id }: { now: number; mostLines: number; id: string }): Upgrade {
  const { path, headers: all, wishes, problem, length, trace } = requestHead(req, mostLines)
  const { headers, key } = withoutKey(all)
  const call: Call = {
    id,
    method: 'GET',
    path,
    target: req.url ?? '',
    headers,
    body: undefined,
    wishes: { ...wishes, key: wishes.key ?? key },
    life: newLife(),
    // No whole answer is waited for: the bounds of a stream hold.
    facts: { ...newFacts(now, trace), stream: true },
    fresh: false,
    last: false,
    plan: undefined,
    inform: () => {},
  }
  // Nobody could say where the body ends and the frames begin.
  return { call, problem: problem ?? (length === 0 ? undefined : new SidecarError('bad_request', 'the upgrade has a body')) }
}
