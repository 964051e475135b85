import { STATUS_CODES, type IncomingMessage, type ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Socket } from 'node:net'
import { kinds, type SidecarError } from '../errors.ts'
import { openAiError } from '../llm/errorShape.ts'
import { linger, markEnding } from './ending.ts'

/** What node:http hangs on a connection: the answer whose turn it is, and the request that is being read. */
interface Served extends Socket {
  readonly _httpMessage?: ServerResponse | null
  readonly parser?: { readonly incoming?: IncomingMessage | null } | null
}

/** The request whose body is being read, when there is one. */
export function unfinished(socket: Socket): IncomingMessage | undefined {
  const req = (socket as Served).parser?.incoming
  return req === undefined || req === null || req.complete ? undefined : req
}

/** True while an answer is owed on this connection. */
export const isAnswering = (socket: Socket): boolean => ((socket as Served)._httpMessage ?? undefined) !== undefined

/** Answers on a bare connection that carries no call, and closes it. Returns the failure, so that it can be counted in the same line. */
export function refuseRaw(socket: Duplex, err: SidecarError): SidecarError {
  const { status, fault, permanent } = kinds[err.kind]
  if (!socket.writable) {
    linger(socket as Socket)
    return err
  }
  // An answer is on its way already: a second head in the middle of it would be worse than none.
  if ((socket as Served)._httpMessage?.headersSent === true) {
    socket.destroy()
    return err
  }
  const message = `Refused by Outrider (the sidecar): ${err.message} (${err.kind})`
  const body = openAiError({ kind: err.kind, status, message, fault, call: '', upstream: '', attempts: 0, afterMs: 0 })
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n` +
      `x-outrider-error: ${err.kind}\r\nx-outrider-fault: ${fault}\r\n${permanent ? 'x-should-retry: false\r\n' : ''}connection: close\r\n\r\n${body}`,
  )
  socket.resume()
  linger(socket as Socket)
  return err
}

/** The same behind the answers that are still owed on the connection: who pipelines counts answers. */
export function refuseInTurn(socket: Socket, err: SidecarError, refused: (err: SidecarError) => void): void {
  markEnding(socket)
  const turn = (): void => {
    const owed = (socket as Served)._httpMessage
    if (owed?.req.complete === true && !socket.destroyed) owed.once('close', turn)
    else refused(refuseRaw(socket, err))
  }
  turn()
}
