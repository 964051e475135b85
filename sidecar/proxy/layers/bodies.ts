import { isUpload, type Headers, type Layer, type Reply } from '../call.ts'
import { bodyMargin, type Bodies } from '../facts.ts'

/** Keeps the beginnings of both bodies for the log, where somebody has asked for that: of text, up to `most` bytes each. */
export function bodies(most: number): Layer {
  return (next) => async (call) => {
    const { body, facts } = call
    const reply: Buffer[] = []
    const request = body === undefined || isUpload(body) ? undefined : body.subarray(0, most + bodyMargin)
    const kept: Bodies = { most, request, reply, coding: '' }
    facts.bodies = kept
    const answer = await next(call)
    if (!isText(answer.headers)) return answer
    kept.coding = codingOf(answer.headers)
    let left = most + bodyMargin
    return noting(answer, (bytes) => {
      if (left === 0) return
      const part = bytes.subarray(0, left)
      left -= part.length
      reply.push(part)
    })
  }
}

const isText = ({ 'content-type': type }: Headers): boolean => typeof type === 'string' && /json|^text\//i.test(type)

const codingOf = ({ 'content-encoding': coding = '' }: Headers): string => (coding === 'identity' ? '' : String(coding))

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
