/** One upstream as a strategy sees it. Whoever owns it keeps the counts: they are one for all routes that share the upstream. */
export interface Candidate {
  readonly name: string
  /** Its share beside the others; 0 takes it out while another has more. */
  readonly weight: number
  readonly inFlight: number
  /** Tokens of the calls in flight, estimated. */
  readonly outstandingTokens: number
  /** From 0 to 1: how much of its share an upstream that has just come back may take already. */
  readonly ease: number
}

/** How an attempt went, as far as choosing cares: told at the first byte, not at the end, so that a long answer is no slow one. */
export type Result =
  | { readonly kind: 'answered'; readonly firstByteMs: number }
  /** With the time the upstream asked for, where it did. */
  | { readonly kind: 'failed'; readonly hintMs: number | undefined }
  /** Nobody waited for the first byte any more: it would have taken at least this long. */
  | { readonly kind: 'abandoned'; readonly waitedMs: number }

/** What a call asks for, as far as choosing cares. */
export interface Wanted {
  /** As the config calls it. */
  readonly model: string
  readonly tokens: number
}

export interface Strategy {
  /** One of the candidates of a tier, all of which are usable; undefined where there is none. */
  readonly choose: (candidates: readonly Candidate[], wanted: Wanted, now: number) => Candidate | undefined
  readonly observe: (candidate: Candidate, result: Result, now: number, model: string) => void
}

/** For those to which it is all the same how attempts end. */
export const unobserved = (): void => {}

/** Those that have a weight; all of them, as equals, where nobody has. */
export function weighty(candidates: readonly Candidate[]): readonly Candidate[] {
  if (candidates.every(({ weight }) => weight > 0)) return candidates
  const some = candidates.filter(({ weight }) => weight > 0)
  return some.length === 0 ? candidates : some
}

/** Without regard to how lately it has come back. */
export const weightOf = ({ weight }: Candidate): number => (weight > 0 ? weight : 1)

/** What a candidate may take, relative to the others. */
export const shareOf = (candidate: Candidate): number => weightOf(candidate) * candidate.ease
