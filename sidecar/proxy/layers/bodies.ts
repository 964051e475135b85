import { isUpload, type Headers, type Layer, type Reply } from '../call.ts'

/** Keeps the beginnings of both bodies for the log, where somebody has asked for that: of text, up to `most` bytes each. */
export function bodies(most: number): Layer {
  return (next) => async (call) => {
    const { body, facts } = call
    const reply: Buffer[] = []
    facts.bodies = { request: body === undefined || isUpload(body) ? undefined : body.subarray(0, most), reply }
    const answer = await next(call)
    if (!isText(answer.headers)) return answer
    let left = most
    return noting(answer, (bytes) => {
      if (left === 0) return
      const part = bytes.subarray(0, left)
      left -= part.length
      reply.push(part)
    })
  }
}

const isText = ({ 'content-type': type, 'content-encoding': coding }: Headers): boolean =>
  (coding === undefined || coding === 'identity') && typeof type === 'string' && /json|^text\//i.test(type)

/** The reply, each of whose bytes is seen on its way. */
function noting(reply: Reply, note: (bytes: Buffer) => void): Reply {
  return {
    ...reply,
    flow: (sink) =>
      reply.flow({
        data: (bytes) => {
          note(bytes)
          return sink.data(bytes)
        },
        end: sink.end,
        fail: sink.fail,
      }),
  }
}
