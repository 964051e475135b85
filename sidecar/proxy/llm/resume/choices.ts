import type { Passage } from './passage.ts'
import { across, isAcross } from './seam.ts'
import { addedTokens } from './spent.ts'
import { isEmpty, isFields, type Fields } from './fields.ts'
import type { Story } from './told.ts'

/** Of chat and of text completions: what must not change within an answer. */
const lasting = ['id', 'object', 'created', 'model', 'system_fingerprint', 'service_tier'] as const
const thoughts = new Set(['reasoning_content', 'reasoning', 'reasoning_details', 'thinking', 'thinking_blocks'])

/** Reads an event that has been delivered; false where another attempt could not go on behind it. */
export function tellChoices(story: Story, event: Fields): boolean {
  if (!isEmpty(event['error'])) return false
  story.begun = true
  for (const name of lasting) if (!isEmpty(event[name]) && story.head[name] === undefined) story.head[name] = event[name]
  if (isFields(event['usage'])) story.usage = event['usage']
  const choices = event['choices']
  if (isEmpty(choices)) return true
  return Array.isArray(choices) && choices.every((choice: unknown) => isFields(choice) && tellChoice(story, choice))
}

function tellChoice(story: Story, choice: Fields): boolean {
  if (!isEmpty(choice['index']) && choice['index'] !== 0) return false
  if (!isEmpty(choice['logprobs'])) return false
  if (!isEmpty(choice['finish_reason'])) story.finished = true
  if (story.operation === 'completions') return tellText(story, choice['text'])
  const delta = choice['delta']
  if (isEmpty(delta)) return true
  return isFields(delta) && Object.entries(delta).every(([name, value]) => tellDelta(story, name, value))
}

function tellDelta(story: Story, name: string, value: unknown): boolean {
  if (isEmpty(value)) return true
  if (name === 'content') return tellText(story, value)
  if (name === 'role') story.role = true
  else if (thoughts.has(name)) story.thought = true
  // A tool that is being called, a refusal, a sound, a source: none of them can be gone on with in the middle.
  else return false
  return true
}

function tellText(story: Story, value: unknown): boolean {
  if (isEmpty(value)) return true
  if (typeof value !== 'string') return false
  story.text += value
  return true
}

/** The event as the client gets it behind what it has; undefined for nothing, false where it does not go with that. */
export function passChoices(passage: Passage, event: Fields): Fields | undefined | false {
  const { story } = passage
  if (!isEmpty(event['error'])) return false
  for (const name of lasting) if (story.head[name] !== undefined) event[name] = story.head[name]
  const choices = Array.isArray(event['choices']) ? (event['choices'] as unknown[]) : []
  const kept: Fields[] = []
  for (const choice of choices) {
    if (!isFields(choice) || (!isEmpty(choice['index']) && choice['index'] !== 0)) return false
    const passed = story.operation === 'completions' ? passText(passage, choice) : passDelta(passage, choice)
    // What it had to say may all have been taken for thoughts.
    if (!passed || (!isEmpty(choice['finish_reason']) && (!isAcross(passage.seam) || passage.speaks === false))) return false
    if (!isEmpty(choice['finish_reason']) || !isSilent(choice)) kept.push(choice)
  }
  const usage = event['usage']
  if (isFields(usage)) addUsage(passage, usage)
  else if (kept.length === 0) return undefined
  event['choices'] = kept
  return event
}

function passText(passage: Passage, choice: Fields): boolean {
  const { text } = choice as { text?: unknown }
  if (typeof text !== 'string') return isEmpty(text)
  const fresh = freshOf(passage, text)
  choice['text'] = fresh
  return fresh !== undefined
}

function passDelta(passage: Passage, choice: Fields): boolean {
  const delta = choice['delta']
  if (!isFields(delta)) return isEmpty(delta)
  if (passage.hasRole) delete delta['role']
  const { content } = delta
  if (!isEmpty(content)) passage.speaks = true
  if (typeof content === 'string') {
    const fresh = freshOf(passage, content)
    if (fresh === undefined) return false
    delta['content'] = fresh
  } else if (!isEmpty(content)) return false
  for (const [name, value] of Object.entries(delta)) {
    // They were told to their end before the first word was.
    if (thoughts.has(name) && passage.hasText) {
      if (!isEmpty(value)) passage.speaks ??= false
      delete delta[name]
    } else if (!isEmpty(value) && name !== 'content' && name !== 'role' && !isAcross(passage.seam)) return false
    else if (!isEmpty(value) && name !== 'role') passage.speaks = true
  }
  return true
}

function freshOf(passage: Passage, text: string): string | undefined {
  passage.produced += text.length
  return across(passage.seam, text)
}

function isSilent({ delta, text }: Fields): boolean {
  return isEmpty(text) && (!isFields(delta) || Object.values(delta).every(isEmpty))
}

function addUsage(passage: Passage, usage: Fields): void {
  const added = addedTokens(passage, usage['prompt_tokens'], usage['completion_tokens'])
  if (added === undefined) return
  const { input, output } = added
  usage['prompt_tokens'] = Number(usage['prompt_tokens']) + input
  usage['completion_tokens'] = Number(usage['completion_tokens']) + output
  if (typeof usage['total_tokens'] === 'number') usage['total_tokens'] += input + output
}
