import type { IncomingMessage } from 'node:http'
import type { Headers, Reply, Sink, Tap } from '../call.ts'
import { SidecarError } from '../errors.ts'
import { offCancel, onCancel, type Life } from '../life.ts'
import { noHttp } from '../upstream/noHttp.ts'
import { separate } from './tunnelHeaders.ts'

/** An ordinary answer to an upgrade, for the layers. */
export function replyFrom(answer: IncomingMessage, life: Life): Reply {
  const headers = separate(answer)
  const stop = (): void => {
    answer.on('error', () => {})
    answer.destroy()
  }
  const flow = (sink: Sink): Tap => {
    let over = false
    const settle = (): boolean => {
      if (over) return false
      over = true
      offCancel(life, fail)
      return true
    }
    const fail = (reason: SidecarError): void => {
      if (!settle()) return
      stop()
      sink.fail(reason)
    }
    answer.on('data', (bytes: Buffer) => {
      if (!over && !sink.data(bytes)) answer.pause()
    })
    answer.once('end', () => {
      if (settle()) sink.end(answer.trailers as Headers)
    })
    answer.on('error', (err: NodeJS.ErrnoException) => {
      fail(new SidecarError('reply_cut', `the answer broke off before its end (${err.code ?? err.message})`, { cause: err }))
    })
    onCancel(life, fail)
    return { pause: () => answer.pause(), resume: () => answer.resume(), close: fail }
  }
  return {
    status: answer.statusCode ?? 0,
    headers,
    framed: headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined,
    complete: () => false,
    flow,
    drop: stop,
  }
}

/** What went wrong before any answer was in. */
export function failureOf(err: Error & { code?: string }): SidecarError {
  const why = err.code ?? err.message
  if (err.code?.startsWith('HPE_') === true) {
    const told = err.message.replace(/^Parse Error: /, '')
    return new SidecarError('bad_reply', `the answer to the upgrade is not HTTP that can be used (${noHttp(told)})`, { cause: err })
  }
  return new SidecarError('no_reply', `the connection closed without an answer to the upgrade (${why})`, { cause: err })
}
