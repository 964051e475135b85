import { isUpload, type Call, type Handler, type Layer, type Reply } from '../call.ts'
import { SidecarError } from '../errors.ts'

/**
 * Sends a call once more, on a new connection, when the kept one it was sent on had been closed by the upstream meanwhile. It is the same
 * attempt: the upstream has seen nothing of it.
 */
export function stale(): Layer {
  // Not a function with `await`: every call passes here, and hardly any stays.
  return (next) => (call) => next(call).then(undefined, (err: unknown) => again(call, next, err))
}

async function again(call: Call, next: Handler, err: unknown): Promise<Reply> {
  if (!(err instanceof SidecarError) || err.kind !== 'stale_connection') throw err
  if (isUpload(call.body) && !call.body.untouched()) {
    throw new SidecarError('no_reply', 'a kept connection closed while the upload was on its way, and uploads are not kept for repeating', {
      cause: err,
    })
  }
  return await next({ ...call, fresh: true })
}
