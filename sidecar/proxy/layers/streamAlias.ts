import { isUpload, type Call, type Handler, type Layer, type Reply } from '../call.ts'
import { SidecarError } from '../errors.ts'
import { withStream } from '../llm/body.ts'
import { uncompressed } from './read.ts'

const alias = '/chat/completions/stream'
const real = '/chat/completions'

/**
 * `POST /v1/chat/completions/stream` is a chat call that streams, whatever its body says. The only place where a body is edited: by splicing
 * the one word in, everything else stays byte for byte, and the answer says so.
 */
export function streamAlias(): Layer {
  return (next) => (call) => (isAlias(call) ? edited(call, next) : next(call))
}

async function edited(call: Call, next: Handler): Promise<Reply> {
  if (call.body === undefined || isUpload(call.body)) {
    throw new SidecarError(
      'bad_request',
      `/v1${alias} needs a body of JSON (content-type: application/json) that is small enough to be kept (limits.replayBody)`,
    )
  }
  const body = withStream(call.body)
  if (body === undefined) throw new SidecarError('bad_request', `the body is no whole JSON object, so it cannot be made a stream`)
  call.facts.stream = true
  const reply = await next({ ...call, path: real + (call.path ?? '').slice(alias.length), body, headers: uncompressed(call.headers) })
  return { ...reply, own: [...(reply.own ?? []), 'x-outrider-edited', body === call.body ? 'path' : 'path, stream'] }
}

const isAlias = ({ path, method }: Call): boolean =>
  path !== undefined && path.startsWith(alias) && (path.length === alias.length || path[alias.length] === '?') && method === 'POST'
