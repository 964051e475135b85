import type { Passage } from './passage.ts'
import { across, isAcross } from './seam.ts'
import { addedTokens } from './spent.ts'
import { isEmpty, isFields, type Fields } from './fields.ts'
import type { Story } from './told.ts'

/** Reads an event of Anthropic's that has been delivered; false where another attempt could not go on behind it. */
export function tellMessage(story: Story, event: Fields): boolean {
  switch (event['type']) {
    case 'ping':
      return true
    case 'message_start': {
      story.begun = true
      const { message } = event
      if (isFields(message) && isFields(message['usage'])) story.usage = message['usage']
      return true
    }
    case 'content_block_start': {
      const block = event['content_block']
      if (event['index'] !== 0 || !isFields(block) || block['type'] !== 'text') return false
      story.open = true
      story.text += typeof block['text'] === 'string' ? block['text'] : ''
      return isEmpty(block['citations'])
    }
    case 'content_block_delta': {
      const { delta } = event
      if (!story.open || event['index'] !== 0 || !isFields(delta) || typeof delta['text'] !== 'string') return false
      story.text += delta['text']
      return true
    }
    default:
      // Behind the end of the text comes a tool, or what only this attempt knows.
      return false
  }
}

/** The event as the client gets it behind what it has; undefined for nothing, false where it does not go with that. */
export function passMessage(passage: Passage, event: Fields): Fields | undefined | false {
  switch (event['type']) {
    case 'ping':
      return event
    case 'message_start': {
      const { message } = event
      const usage = isFields(message) ? message['usage'] : undefined
      if (isFields(usage)) passage.inputTold = usage['input_tokens']
      return undefined
    }
    case 'content_block_start':
      return passStart(passage, event)
    case 'content_block_delta':
      return passDelta(passage, event)
    case 'message_delta':
      if (!isAcross(passage.seam)) return false
      if (isFields(event['usage'])) addUsage(passage, event['usage'])
      return event
    case 'error':
      return false
    default:
      return isAcross(passage.seam) ? event : false
  }
}

function passStart(passage: Passage, event: Fields): Fields | undefined | false {
  const block = event['content_block']
  if (event['index'] !== 0) return isAcross(passage.seam) ? event : false
  if (!passage.isOpen) return event
  return isFields(block) && block['type'] === 'text' && isEmpty(block['text']) ? undefined : false
}

function passDelta(passage: Passage, event: Fields): Fields | undefined | false {
  const { delta } = event
  if (event['index'] !== 0) return isAcross(passage.seam) ? event : false
  if (!isFields(delta) || delta['type'] !== 'text_delta' || typeof delta['text'] !== 'string') return passage.isOpen ? false : event
  passage.produced += delta['text'].length
  const fresh = across(passage.seam, delta['text'])
  if (fresh === undefined) return false
  delta['text'] = fresh
  return fresh === '' ? undefined : event
}

function addUsage(passage: Passage, usage: Fields): void {
  const input = typeof usage['input_tokens'] === 'number' ? usage['input_tokens'] : passage.inputTold
  const added = addedTokens(passage, input, usage['output_tokens'])
  if (added === undefined) return
  usage['input_tokens'] = Number(input) + added.input
  usage['output_tokens'] = Number(usage['output_tokens']) + added.output
}
