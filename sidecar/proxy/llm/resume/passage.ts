import type { Seam } from './seam.ts'
import type { Costs } from './spent.ts'
import type { Story } from './told.ts'

/** From what a client has been told to what another attempt says. */
export interface Passage extends Costs {
  readonly story: Story
  readonly seam: Seam
  /** As it was when the attempt began. */
  readonly hasRole: boolean
  readonly hasText: boolean
  readonly isOpen: boolean
  produced: number
  /** Whether a further attempt could go on from there: not once a tool is being called, say. */
  goesOn: boolean
  /** Of Anthropic's messages: told at the beginning, needed at the end. */
  inputTold: unknown
}

export function openPassage(story: Story, seam: Seam, costs: Pick<Costs, 'prefix' | 'before'>): Passage {
  const { role, text, open } = story
  return { ...costs, story, seam, hasRole: role, hasText: text !== '', isOpen: open, produced: 0, goesOn: true, inputTold: undefined }
}
