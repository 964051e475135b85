import { STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import { kinds, type SidecarError } from '../errors.ts'
import { openAiError } from '../llm/errorShape.ts'

/** Answers on a bare connection that carries no call, and closes it. Returns the failure, so that it can be counted in the same line. */
export function refuseRaw(socket: Duplex, err: SidecarError): SidecarError {
  const { status, fault } = kinds[err.kind]
  const begun = (socket as { _httpMessage?: { headersSent?: boolean } })._httpMessage?.headersSent === true
  // An answer is on its way already: a second head in the middle of it would be worse than none.
  if (!socket.writable || begun) {
    socket.destroy()
    return err
  }
  const message = `Refused by Outrider (the sidecar): ${err.message} (${err.kind})`
  const body = openAiError({ kind: err.kind, status, message, fault, call: '', upstream: '', attempts: 0, afterMs: 0 })
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n` +
      `x-outrider-error: ${err.kind}\r\nx-should-retry: false\r\nconnection: close\r\n\r\n${body}`,
  )
  // Whoever goes on sending after that is not waited for.
  const linger = setTimeout(() => {
    socket.destroy()
  }, 500)
  linger.unref()
  socket.once('close', () => {
    clearTimeout(linger)
  })
  return err
}
