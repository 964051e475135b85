import type { Operation } from '../operation.ts'
import { parseEvents } from '../sse.ts'
import { tellChoices } from './choices.ts'
import { fieldsIn } from './fields.ts'
import { tellMessage } from './messages.ts'
import { tellResponse } from './tellResponse.ts'
import { newStory, type Story } from './told.ts'

/** Undefined where another attempt could not go on from it: tools under way, several answers, other media, or a kind of stream unknown here. */
export function readStory(operation: Operation, text: string): Story | undefined {
  const story = newStory(operation)
  for (const { data } of parseEvents(text)) if (!tell(story, data)) return undefined
  return story
}

/** One more event has been delivered; false where nothing can be gone on from any more. */
export function tell(story: Story, data: string): boolean {
  if (data === '[DONE]') return true
  const event = fieldsIn(data)
  if (event === undefined) return false
  switch (story.operation) {
    case 'chat':
    case 'completions':
      return tellChoices(story, event)
    case 'messages':
      return tellMessage(story, event)
    case 'responses':
      return tellResponse(story, event)
    default:
      return false
  }
}
