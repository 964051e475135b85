import { isEmpty, isFields, type Fields } from './fields.ts'
import type { Joint, Passage } from './passage.ts'
import { endOfResponse, isItemSaid, isMessage, isSaid, missingEnds, wholeItem } from './responseEnd.ts'
import { across, isAcross } from './seam.ts'
import { hasWordsAlone, isOfThought, itemIdOf, keepHead, stageOf } from './tellResponse.ts'
import type { Story } from './told.ts'

/** Nobody may be kept in memory without bound, and the whole text is said once more at the end. */
const longestText = 4 * 1024 * 1024
/** More than any response has. */
const mostItems = 1_000

/** The event of Responses as the client gets it behind what it has, with what must be told before it; false where it does not go with that. */
export function passResponse(passage: Passage, event: Fields): readonly Fields[] | false {
  const passed = unnumbered(passage, event)
  const { number } = passage.story.response
  if (passed !== false && number >= 0) for (const [at, one] of passed.entries()) one['sequence_number'] = number + 1 + at
  return passed
}

function unnumbered(passage: Passage, event: Fields): readonly Fields[] | false {
  const { story, joint } = passage
  const { type, response } = event
  if (stageOf(type) > 0) {
    if (stageOf(type) <= story.response.stage || joint !== undefined) return []
    if (isFields(response)) keepHead(story, response)
    return [event]
  }
  if (type === 'response.completed' || type === 'response.incomplete') return endOfResponse(passage, event)
  if (typeof type !== 'string' || /^(?:error|response\.(?:failed|cancelled))$/.test(type) || !isEmpty(event['error'])) return false
  if (type === 'keepalive') return [event]
  if (typeof event['delta'] === 'string' && type === 'response.output_text.delta') passage.produced += event['delta'].length
  return joint === undefined ? [event] : besideMessage(passage, joint, event)
}

function besideMessage(passage: Passage, joint: Joint, event: Fields): readonly Fields[] | false {
  switch (roleOf(joint, event)) {
    case 'left out':
      return []
    case 'joined':
      return ofMessage(passage, joint, event)
    case 'passed': {
      if (!isAcross(passage.seam)) return false
      const { closed } = passage.story.response
      const ends = missingEnds(passage.story, 'completed')
      // What comes from here on is of another item, whatever it is called.
      for (const what of ['text', 'part', 'message'] as const) closed.add(what)
      const index = event['output_index']
      if (typeof index !== 'number') return [...ends, event]
      const last = passage.story.response.place?.['output_index']
      // Where the other attempt has no message, its items follow the one that the client has.
      if (typeof last === 'number') joint.shift ??= last + 1 - index
      event['output_index'] = index + (joint.shift ?? 0)
      return [...ends, event]
    }
    default:
      return false
  }
}

/** Its thoughts are not told behind words; its first message is the one that the client has; what comes behind that is new. */
function roleOf({ items }: Joint, event: Fields): 'left out' | 'joined' | 'passed' | undefined {
  const id = itemIdOf(event)
  const known = items.get(id)
  if (known !== undefined || items.size >= mostItems) return known
  const kind = kindOf(event)
  const isFirst = ![...items.values()].includes('joined')
  const role = (isFirst && firstRoles[kind]) || (event['type'] === 'response.output_item.added' ? ('passed' as const) : undefined)
  if (role !== undefined) items.set(id, role)
  return role
}

const firstRoles: Readonly<Record<string, 'left out' | 'joined'>> = {
  reasoning: 'left out',
  reasoning_text: 'left out',
  message: 'joined',
  output_text: 'joined',
}

/** Of an item, or of a part of one. */
function kindOf({ type, item, part }: Fields): string {
  if (isFields(item)) return String(item['type'])
  if (isFields(part)) return String(part['type'])
  if (isOfThought(type)) return 'reasoning'
  return type === 'response.output_text.delta' ? 'output_text' : 'tool'
}

function ofMessage(passage: Passage, joint: Joint, event: Fields): readonly Fields[] | false {
  const { story, seam } = passage
  const { type, item, part, delta } = event
  const { place, closed, ...told } = story.response
  switch (type) {
    case 'response.output_item.added': {
      // Where items have no ids of their own, the next one is not to be taken for the same.
      if (joint.hasItem || !isFields(item) || !isMessage(item) || !isEmpty(item['content'])) return false
      joint.hasItem = true
      return []
    }
    case 'response.content_part.added': {
      const isPlain = isFields(part) && part['type'] === 'output_text' && isEmpty(part['text']) && hasWordsAlone(part)
      if (!isPlain || joint.hasPart) return false
      joint.hasPart = true
      return told.part === undefined && story.text === '' ? [inPlace(place, event)] : []
    }
    case 'response.output_text.delta': {
      if (typeof delta !== 'string' || !hasWordsAlone(event) || story.text.length > longestText || closed.size > 0) return false
      joint.said += delta.length
      const fresh = across(seam, delta)
      if (fresh === undefined) return false
      event['delta'] = fresh
      return fresh === '' ? [] : [inPlace(place, event)]
    }
    default:
      return endOfMessage(passage, joint, event)
  }
}

function endOfMessage({ story, seam }: Passage, joint: Joint, event: Fields): readonly Fields[] | false {
  const { type, item, part } = event
  if (!isAcross(seam)) return false
  if (type === 'response.output_text.done') {
    if (!isSaid(joint, event) || !hasWordsAlone(event)) return false
    event['text'] = story.text
    return ended(story, 'text', event)
  }
  if (type === 'response.content_part.done') {
    if (!isFields(part) || !isSaid(joint, part) || !hasWordsAlone(part)) return false
    part['text'] = story.text
    return ended(story, 'part', event)
  }
  // A refusal, a source: of them the client has no beginning.
  if (type !== 'response.output_item.done' || !isFields(item) || !isMessage(item) || !isItemSaid(joint, item)) return false
  event['item'] = wholeItem(story, item)
  return ended(story, 'message', event)
}

/** Told once. */
function ended({ response: { closed, place } }: Story, what: 'text' | 'part' | 'message', event: Fields): readonly Fields[] {
  if (closed.has(what)) return []
  closed.add(what)
  return [inPlace(place, event)]
}

/** Ids and indexes are those that the client knows. */
function inPlace(place: Fields | undefined, event: Fields): Fields {
  for (const [name, value] of Object.entries(place ?? {})) if (value !== undefined && event[name] !== undefined) event[name] = value
  return event
}
