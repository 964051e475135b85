import { askedAgain, goingOn, knows, type GoingOn, type Request } from '../llm/resume/goOn.ts'
import type { Story } from '../llm/resume/told.ts'
import type { Plan } from '../plan.ts'
import type { Candidate } from './candidate.ts'
import { choice, choiceAgain } from './choice.ts'

/** How another attempt takes a stream up: from the beginning where nothing was told yet, by going on, or by saying all again. */
export type Way = 'anew' | 'continue' | 'splice'

export interface Step extends GoingOn {
  readonly way: Way
  readonly candidate: Candidate
  /** What the client has been told; undefined for nothing. */
  readonly story: Story | undefined
}

export interface From {
  readonly story: Story
  /** Undefined where only a beginning would do. */
  readonly request: Request | undefined
  /** An upstream may be asked to go on. */
  readonly goesOn: boolean
  readonly body: Buffer
  readonly now: number
}

/** The best upstream for it, another one wherever there is one, and what to ask it for; undefined where there is none. */
export function stepFrom(plan: Plan, { story, request, goesOn, body, now }: From): Step | undefined {
  if (story.begun && request !== undefined && goesOn && story.text !== '') {
    const step = goingOnAt(plan, story, request, now)
    if (step !== undefined) return step
  }
  const candidate = chosen(plan, now)
  if (candidate === undefined) return undefined
  if (!story.begun || request === undefined) return { way: 'anew', candidate, story: undefined, ...whole(body) }
  return { way: story.text === '' ? 'anew' : 'splice', candidate, story, ...askedAgain(request, story.text) }
}

const whole = (body: Buffer): GoingOn => ({ body, seam: { text: '', at: 0, strict: false }, prefix: 0 })

function goingOnAt(plan: Plan, story: Story, request: Request, now: number): Step | undefined {
  // A text completion is nothing but going on; a chat has to know how.
  const any = story.operation === 'completions'
  const candidate = any ? chosen(plan, now) : choiceAmong(plan, ({ continues }) => knows(story.operation, continues), now)
  if (candidate === undefined) return undefined
  const going = goingOn(request, story.text, any ? 'assistant' : candidate.continues)
  return going && { way: 'continue', candidate, story, ...going }
}

function choiceAmong(plan: Plan, fits: (candidate: Candidate) => boolean, now: number): Candidate | undefined {
  const { route, repeatable } = plan
  plan.route = { ...route, tiers: route.tiers.map((tier) => tier.filter(fits)) }
  plan.repeatable = repeatable?.filter(fits)
  const best = chosen(plan, now)
  plan.route = route
  plan.repeatable = repeatable
  return best
}

const chosen = (plan: Plan, now: number): Candidate | undefined => choice(plan, now) ?? choiceAgain(plan, now)
