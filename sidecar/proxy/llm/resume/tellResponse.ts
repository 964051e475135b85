import { isEmpty, isFields, type Fields } from './fields.ts'
import type { Story, ToldResponse } from './told.ts'

/** What must not change within a response. */
const lasting = ['id', 'object', 'created_at', 'model', 'max_output_tokens'] as const

/** In the order in which a response tells them of itself before it tells anything else. */
const stages: Readonly<Record<string, number>> = { 'response.created': 1, 'response.queued': 2, 'response.in_progress': 3 }

/** Zero for an event that is no beginning of a response. */
export const stageOf = (type: unknown): number => (typeof type === 'string' && Object.hasOwn(stages, type) ? (stages[type] ?? 0) : 0)

/** Of an event that belongs to an item, whichever way it says so. */
export const itemIdOf = ({ item, item_id: id }: Fields): unknown => (isFields(item) ? item['id'] : id)

/**
 * Reads an event of Responses that has been delivered; false where another attempt could not go on behind it. What is needed for the end of the
 * stream is read all the same.
 */
export function tellResponse(story: Story, event: Fields): boolean {
  const told = story.response
  story.begun = true
  if (typeof event['sequence_number'] === 'number') told.number = event['sequence_number']
  const type = event['type']
  if (stageOf(type) > 0) return tellBeginning(story, event)
  switch (type) {
    case 'keepalive':
      return true
    case 'response.output_item.added':
      return isFields(event['item']) && tellItem(story, event['item'], event)
    case 'response.output_item.done':
      return isFields(event['item']) && tellItemDone(told, event['item'])
    case 'response.content_part.added':
      return isFields(event['part']) && tellPart(story, event['part'], event)
    case 'response.output_text.delta':
      return tellDelta(story, event)
    case 'response.output_text.done':
      return close(told, event, 'text')
    case 'response.content_part.done':
      return (isFields(event['part']) && isThought(told, event['part'])) || close(told, event, 'part')
    default:
      // Tools, refusals, sources, sounds: none of them can be gone on with in the middle.
      if (!isOfThought(type) || told.place !== undefined) return false
      story.thought = true
      return true
  }
}

/** Whether the model thinks, and says nothing yet. */
export const isOfThought = (type: unknown): boolean => typeof type === 'string' && type.startsWith('response.reasoning')

const isThought = ({ place }: ToldResponse, part: Fields): boolean => part['type'] === 'reasoning_text' && place === undefined

function tellBeginning(story: Story, { type, response }: Fields): boolean {
  story.response.stage = Math.max(story.response.stage, stageOf(type))
  if (!isFields(response)) return false
  for (const name of lasting) if (!isEmpty(response[name]) && story.head[name] === undefined) story.head[name] = response[name]
  return isEmpty(response['output'])
}

export function keepHead({ head }: Story, response: Fields): void {
  for (const name of lasting) if (head[name] !== undefined) response[name] = head[name]
}

function tellItem(story: Story, item: Fields, event: Fields): boolean {
  const told = story.response
  if (told.pending !== undefined || told.place !== undefined) return false
  if (item['type'] === 'reasoning') {
    story.thought = true
    told.pending = item['id'] ?? false
    return true
  }
  if (item['type'] !== 'message' || !isEmpty(item['content'])) return false
  told.message = item
  story.role = true
  return standsAt(told, event)
}

function tellItemDone(told: ToldResponse, item: Fields): boolean {
  if (told.place !== undefined) {
    if (item['id'] === told.place['item_id']) told.closed.add('message')
    return false
  }
  told.pending = undefined
  told.finished.push(item)
  // What is sealed goes with what only its maker has.
  return item['type'] === 'reasoning' && isEmpty(item['encrypted_content'])
}

function tellPart(story: Story, part: Fields, event: Fields): boolean {
  const told = story.response
  if (isThought(told, part)) return true
  const isFirst = told.part === undefined && told.pending === undefined && standsAt(told, event)
  if (!isFirst || part['type'] !== 'output_text' || !isEmpty(part['text']) || !hasWordsAlone(part)) return false
  told.part = part
  return true
}

function tellDelta(story: Story, event: Fields): boolean {
  const told = story.response
  const { delta } = event
  if (typeof delta !== 'string' || told.pending !== undefined || !standsAt(told, event)) return false
  story.text += delta
  return hasWordsAlone(event)
}

/** No sources and no probabilities, which have places in the text and in no other. */
export const hasWordsAlone = ({ annotations, logprobs }: Fields): boolean => isEmpty(annotations) && isEmpty(logprobs)

/** Whether there is one text, and the event belongs to it; what it tells of the place is noted. */
function standsAt(told: ToldResponse, event: Fields): boolean {
  const id = itemIdOf(event)
  const { place, closed } = told
  // Behind its end comes another message.
  if (closed.size > 0) return false
  if (place !== undefined && !isEmpty(place['item_id']) && !isEmpty(id) && id !== place['item_id']) return false
  const { output_index: output, content_index: content } = event
  if (!isEmpty(place?.['content_index']) && !isEmpty(content) && content !== place?.['content_index']) return false
  told.place = {
    item_id: place?.['item_id'] ?? id,
    output_index: place?.['output_index'] ?? output,
    content_index: place?.['content_index'] ?? content,
  }
  return true
}

/** Behind the end of the text comes what only this attempt knows. */
function close(told: ToldResponse, event: Fields, what: 'text' | 'part'): false {
  if (told.place !== undefined && itemIdOf(event) === told.place['item_id']) told.closed.add(what)
  return false
}
