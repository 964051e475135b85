import { isUpload, type Layer } from '../call.ts'
import { SidecarError } from '../errors.ts'

/**
 * Sends a call once more, on a new connection, when the kept one it was sent on had been closed by the upstream meanwhile. It is the same
 * attempt: the upstream has seen nothing of it.
 */
export function stale(): Layer {
  return (next) => async (call) => {
    try {
      return await next(call)
    } catch (err) {
      if (!(err instanceof SidecarError) || err.kind !== 'stale_connection') throw err
      if (isUpload(call.body) && !call.body.untouched()) {
        throw new SidecarError(
          'no_reply',
          'a kept connection closed while the upload was on its way, and uploads are not kept for repeating',
          {
            cause: err,
          },
        )
      }
      return next({ ...call, fresh: true })
    }
  }
}
