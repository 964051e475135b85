import type { Splice } from '../edit.ts'
import { lastOf } from './lastOf.ts'

type Raw = (name: string) => string

const isUnsaid = (value: string): boolean => /^(?:|null|false)$/.test(value)

/**
 * Whether the answer to such a call of Responses can be another attempt's from the middle on. What is to be kept under the id of the first, or goes
 * on from what is kept, cannot: that id is known to nobody who has the whole. A call in the background runs on, and has an own way back to it.
 */
export function mayBeTakenUp(raw: Raw): boolean {
  if (!['background', 'store', 'previous_response_id', 'conversation'].every((name) => isUnsaid(raw(name)))) return false
  return /^(?:|null|0)$/.test(raw('top_logprobs')) && !raw('include').includes('logprobs')
}

/** Neither a structure nor a thought comes before the first word: they would begin anew. */
export function isOpenEnded(raw: Raw): boolean {
  const text = raw('text')
  const isPlain = !text.includes('"format"') || /"format"\s*:\s*(?:null|\{\s*"type"\s*:\s*"text"\s*\})/.test(text)
  const reasoning = raw('reasoning')
  return isPlain && (/^(?:|null)$/.test(reasoning) || /"effort"\s*:\s*"none"/.test(reasoning))
}

/** The input with what has been said as a last item that is in progress; undefined where that would not be the beginning of the answer. */
export function inputWith(body: Buffer, input: readonly [number, number] | undefined, text: string): Splice[] | undefined {
  if (input === undefined) return undefined
  const [from, to] = input
  const part = { type: 'output_text', text, annotations: [] }
  // With all that is said of such an item when it is told: some servers take it for something else otherwise.
  const begun = JSON.stringify({ type: 'message', id: 'msg_begun', status: 'in_progress', role: 'assistant', content: [part] })
  if (body[from] === 0x22)
    return [
      { from, to: from, text: '[{"type":"message","role":"user","content":' },
      { from: to, to, text: `},${begun}]` },
    ]
  const last = lastOf(body, from, to)
  const role = last.get('role')
  const isAsked = role === undefined ? last.get('type')?.endsWith('_output') === true : role !== 'assistant'
  return isAsked ? [{ from: to - 1, to: to - 1, text: `,${begun}` }] : undefined
}
