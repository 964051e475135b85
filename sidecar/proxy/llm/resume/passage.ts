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
  /** Whether it has said anything but thoughts, which are left out; undefined where it has not thought either. */
  speaks: boolean | undefined
  /** Whether a further attempt could go on from there: not once a tool is being called, say. */
  goesOn: boolean
  /** Of Anthropic's messages: told at the beginning, needed at the end. */
  inputTold: unknown
  readonly joint: Joint | undefined
}

/** Of Responses: the message that the client has begun to read, and what in the other attempt stands for it. */
export interface Joint {
  /** What becomes of each item of the other attempt, by its id. */
  readonly items: Map<unknown, 'left out' | 'joined' | 'passed'>
  /** By how much the indexes of its items differ. */
  shift: number | undefined
  /** Characters that its events said one after the other. */
  said: number
  /** The beginnings of its message, and of the one part of that, have come. */
  hasItem: boolean
  hasPart: boolean
}

export function openPassage(story: Story, seam: Seam, costs: Pick<Costs, 'prefix' | 'before'>): Passage {
  const { role, text, open, response } = story
  const joint: Joint | undefined = response.place && { items: new Map(), shift: undefined, said: 0, hasItem: false, hasPart: false }
  const asItWas = { hasRole: role, hasText: text !== '', isOpen: open }
  return { ...costs, ...asItWas, story, seam, produced: 0, speaks: undefined, goesOn: true, inputTold: undefined, joint }
}
