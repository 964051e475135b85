import { parseEvents, type SseEvent } from '../sse.ts'
import { passChoices } from './choices.ts'
import { fieldsIn } from './fields.ts'
import { passMessage } from './messages.ts'
import type { Passage } from './passage.ts'
import { passResponse } from './passResponse.ts'
import { tell } from './story.ts'

export interface Passed {
  readonly bytes: Buffer
  /** False where the next event does not go with what the client has: then nothing more of this attempt is for it. */
  readonly agrees: boolean
}

/** Nobody may be kept in memory without bound; a longer answer is not taken up once more. */
const longestText = 1024 * 1024

/** Whole events of another attempt, as the client gets them: what it has is left out, and what must not change does not. */
export function pass(passage: Passage, events: Buffer): Passed {
  const { story } = passage
  const spoken = parseEvents(events.toString())
  // Signs of life.
  if (spoken.length === 0) return { bytes: events, agrees: true }
  let out = ''
  for (const { event: name, data } of spoken) {
    const passed = data === '[DONE]' ? [{ name, data }] : passEvent(passage, { event: name, data })
    if (passed === false) return { bytes: Buffer.from(out), agrees: false }
    for (const one of passed) {
      out += `${one.name === '' ? '' : `event: ${one.name}\n`}data: ${one.data}\n\n`
      // What a response has said must be known to its end, where it is said once more.
      if (passage.goesOn || story.operation === 'responses')
        passage.goesOn = tell(story, one.data) && passage.goesOn && story.text.length <= longestText
    }
  }
  return { bytes: Buffer.from(out), agrees: true }
}

function passEvent(passage: Passage, { event: name, data }: SseEvent): readonly { name: string; data: string }[] | false {
  const event = fieldsIn(data)
  if (event === undefined) return false
  const { operation } = passage.story
  if (operation === 'responses') {
    const passed = passResponse(passage, event)
    return passed && passed.map((one) => ({ name: name === '' ? '' : String(one['type']), data: JSON.stringify(one) }))
  }
  const passed = operation === 'messages' ? passMessage(passage, event) : passChoices(passage, event)
  if (passed === undefined) return []
  return passed && [{ name, data: JSON.stringify(passed) }]
}
