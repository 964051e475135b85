import type { Backoff } from './backoff.ts'
import type { Call, Handler, Reply, Sink, Tap } from './call.ts'
import type { Clock } from './clock.ts'
import type { SidecarError } from './errors.ts'
import type { Bounds } from './layers/deadline.ts'
import { streamOperation } from './llm/operation.ts'
import type { Outcome } from './llm/outcome.ts'
import type { Request } from './llm/resume/goOn.ts'
import type { Passage } from './llm/resume/passage.ts'
import { toldCosts, type Spent } from './llm/resume/spent.ts'
import { readStory } from './llm/resume/story.ts'
import type { Story } from './llm/resume/told.ts'
import type { Plan } from './plan.ts'
import { newTranscript, textOf, type Pages, type Transcript } from './transcript.ts'
import type { Unrepeated } from './unrepeated.ts'
import type { Step, Way } from './upstream/takeOver.ts'

export interface ResumeOptions extends Bounds, Backoff {
  readonly clock: Clock
  /** Before one that has broken off is asked again. */
  readonly backoffMs: number
  /** A client that hears nothing for this long gets a comment; 0 for never. */
  readonly heartbeatMs: number
  /** No attempt begins with less time. */
  readonly leastLeftMs: number
  readonly pages: Pages
  /** Hears of each attempt that was not made, and why. */
  readonly refused: (why: Unrepeated) => void
  /** Hears how each attempt came out that took a stream up. */
  readonly resumed: (way: Way, well: boolean) => void
}

export interface Held {
  readonly events: Buffer
  readonly outcome: Outcome
  readonly reason: SidecarError
}

export interface Around {
  readonly call: Call
  readonly plan: Plan
  readonly body: Buffer
  readonly next: Handler
  readonly options: ResumeOptions
}

/** A stream on its way to the client, over all attempts that it takes. */
export interface Stream extends Around {
  readonly sink: Sink
  readonly transcript: Transcript
  /** Of the attempt that is under way. */
  reply: Reply
  tap: Tap | undefined
  step: Step | undefined
  passage: Passage | undefined
  /** With this event the upstream says itself that it has failed; kept back until it is known that nobody takes over. */
  held: Held | undefined
  /** What this attempt says does not go with what the client has. */
  disagrees: boolean
  paused: boolean
  closed: SidecarError | undefined
  /** Asked to go on, an upstream has refused. */
  goesOn: boolean
  request: Request | undefined
  readonly before: Spent[]
  /** The last that the client was given, where it is not what the upstream sent. */
  last: string[]
}

export const newStream = (around: Around, sink: Sink, reply: Reply): Stream => ({
  ...around,
  sink,
  transcript: newTranscript(),
  reply,
  tap: undefined,
  step: undefined,
  passage: undefined,
  held: undefined,
  disagrees: false,
  paused: false,
  closed: undefined,
  goesOn: true,
  request: undefined,
  before: [],
  last: [],
})

/** Undefined where no other attempt could go on from it. */
export function storyOf({ call, passage, transcript }: Stream): Story | undefined {
  if (passage !== undefined) return passage.goesOn ? passage.story : undefined
  const text = textOf(transcript)
  return text === undefined ? undefined : readStory(streamOperation(call.path), text)
}

export function spentOn({ passage }: Stream, { operation, text, usage }: Story): Spent {
  if (passage === undefined) return { prefix: 0, produced: text.length, ...toldCosts(operation, usage) }
  return { prefix: passage.prefix, produced: passage.produced, input: undefined, output: undefined }
}
