import type { Operation } from '../operation.ts'
import type { Fields } from './fields.ts'

/** What a client has been told by a stream, as far as another attempt has to know it to go on from there. */
export interface Story {
  readonly operation: Operation
  /** Something of the answer has been told, if only its id. */
  begun: boolean
  /** What stays the same to the end: id, model, time of creation. */
  head: Fields
  /** The model's words. */
  text: string
  /** Who speaks has been told. */
  role: boolean
  /** Its thoughts have been told, as far as they came. */
  thought: boolean
  /** Of Anthropic's messages: the block of text is open. */
  open: boolean
  /** It has been told to the end. */
  finished: boolean
  /** The tokens that it told of. */
  usage: Fields | undefined
}

export const newStory = (operation: Operation): Story => ({
  operation,
  begun: false,
  head: {},
  text: '',
  role: false,
  thought: false,
  open: false,
  finished: false,
  usage: undefined,
})
