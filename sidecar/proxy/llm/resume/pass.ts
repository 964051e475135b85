import { parseEvents } from '../sse.ts'
import { passChoices } from './choices.ts'
import { fieldsIn } from './fields.ts'
import { passMessage } from './messages.ts'
import type { Passage } from './passage.ts'
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
    const passed = data === '[DONE]' ? data : passEvent(passage, data)
    if (passed === false) return { bytes: Buffer.from(out), agrees: false }
    if (passed === undefined) continue
    out += `${name === '' ? '' : `event: ${name}\n`}data: ${passed}\n\n`
    if (passage.goesOn) passage.goesOn = tell(story, passed) && story.text.length <= longestText
  }
  return { bytes: Buffer.from(out), agrees: true }
}

function passEvent(passage: Passage, data: string): string | undefined | false {
  const event = fieldsIn(data)
  if (event === undefined) return false
  const passed = passage.story.operation === 'messages' ? passMessage(passage, event) : passChoices(passage, event)
  return typeof passed === 'object' ? JSON.stringify(passed) : passed
}
