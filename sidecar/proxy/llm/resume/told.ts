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
  readonly response: ToldResponse
}

/** What Responses tell around their text. */
export interface ToldResponse {
  /** Of the last event; -1 where they are not numbered. */
  number: number
  /** How much of its own beginning the response has told. */
  stage: number
  /** An item that comes before the message and is not finished. */
  pending: unknown
  /** Those that are. */
  readonly finished: Fields[]
  /** The message and its part, as they were opened. */
  message: Fields | undefined
  part: Fields | undefined
  /** Where the text stands: ids and indexes, as far as events tell them. */
  place: Fields | undefined
  /** What of message, part and text has been told to its end. */
  readonly closed: Set<'text' | 'part' | 'message'>
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
  response: {
    number: -1,
    stage: 0,
    pending: undefined,
    finished: [],
    message: undefined,
    part: undefined,
    place: undefined,
    closed: new Set(),
  },
})
