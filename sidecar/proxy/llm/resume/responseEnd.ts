import { isFields, type Fields } from './fields.ts'
import type { Joint, Passage } from './passage.ts'
import { isAcross } from './seam.ts'
import { addedTokens } from './spent.ts'
import { keepHead } from './tellResponse.ts'
import type { Story } from './told.ts'

/** The last event of a response: what it says of the whole is true of what the client has. */
export function endOfResponse(passage: Passage, event: Fields): readonly Fields[] | false {
  const { story, joint, seam } = passage
  const { type, response } = event
  if (!isFields(response)) return false
  keepHead(story, response)
  // Under the id that the client has it is kept nowhere, or not whole.
  if (response['store'] === true) response['store'] = false
  if (isFields(response['usage'])) addUsage(passage, response['usage'])
  if (joint === undefined) return [event]
  // All that it had to say it took for thoughts.
  const isLost = joint.items.size > 0 && [...joint.items.values()].every((role) => role === 'left out')
  if (!isAcross(seam) || isLost) return false
  const status = type === 'response.completed' ? 'completed' : 'incomplete'
  const output = Array.isArray(response['output']) ? response['output'].filter(isFields) : []
  if (!isItemSaid(joint, output.find(isMessage) ?? {})) return false
  response['output'] = outputOf(story, output, status)
  if (typeof response['output_text'] === 'string') response['output_text'] = textOf(response['output'] as Fields[])
  return [...missingEnds(story, status), event]
}

/** What the client was told to its end, its message, and what the other attempt has behind its own. */
function outputOf(story: Story, output: readonly Fields[], status: string): Fields[] {
  const at = output.findIndex(isMessage)
  const message = output[at]
  const behind = at < 0 ? output.filter((item) => item['type'] !== 'reasoning') : output.slice(at + 1)
  return [...story.response.finished, wholeItem(story, message ?? { ...story.response.message, status }), ...behind]
}

/** The message as another attempt tells it, with all of the text and under the id that the client knows. */
export function wholeItem({ text, response: { place, part } }: Story, item: Fields): Fields {
  const content = Array.isArray(item['content']) ? item['content'].filter(isFields) : []
  const own = content.find(({ type }) => type === 'output_text')
  const hasPart = own !== undefined || part !== undefined || text !== ''
  const id = place?.['item_id'] ?? item['id']
  const message = { ...item, type: 'message', ...(id === undefined ? {} : { id }), role: 'assistant' }
  return { ...message, content: hasPart ? [{ ...emptyPart, ...part, ...own, text }] : [] }
}

export const isMessage = ({ type }: Fields): boolean => type === 'message'

/** Whether the events before have said this text: what they have not would be missing. */
export const isSaid = ({ said }: Joint, { text }: Fields): boolean => typeof text === 'string' && text.length <= said

export const isItemSaid = (joint: Joint, { content }: Fields): boolean =>
  !Array.isArray(content) || content.every((part) => isFields(part) && isSaid(joint, part))

const emptyPart = { type: 'output_text', annotations: [] }

/** The ends of the message that the client awaits and the other attempt has no reason to tell. */
export function missingEnds(story: Story, status: string): Fields[] {
  const { message, part, closed, place = {} } = story.response
  const { output_index: index, item_id: id, content_index: content } = place
  const ofItem = index === undefined ? {} : { output_index: index }
  const ofPart = { item_id: id, ...ofItem, ...(content === undefined ? {} : { content_index: content }) }
  const ends: Fields[] = []
  const { text } = story
  const isOpen = (what: 'text' | 'part' | 'message', opened: unknown): boolean => opened !== undefined && !closed.has(what)
  if (isOpen('text', part)) ends.push({ type: 'response.output_text.done', ...ofPart, text, logprobs: [] })
  if (isOpen('part', part)) ends.push({ type: 'response.content_part.done', ...ofPart, part: { ...part, text } })
  if (isOpen('message', message))
    ends.push({ type: 'response.output_item.done', ...ofItem, item: wholeItem(story, { ...message, status }) })
  return ends
}

const textOf = (output: readonly Fields[]): string =>
  output
    .flatMap(({ content }) => (Array.isArray(content) ? content.filter(isFields) : []))
    .map((part) => (part['type'] === 'output_text' && typeof part['text'] === 'string' ? part['text'] : ''))
    .join('')

function addUsage(passage: Passage, usage: Fields): void {
  const added = addedTokens(passage, usage['input_tokens'], usage['output_tokens'])
  if (added === undefined) return
  usage['input_tokens'] = Number(usage['input_tokens']) + added.input
  usage['output_tokens'] = Number(usage['output_tokens']) + added.output
  if (typeof usage['total_tokens'] === 'number') usage['total_tokens'] += added.input + added.output
}
