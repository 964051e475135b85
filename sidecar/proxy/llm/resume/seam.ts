/** Text that has been delivered, and that another attempt may say once more before it goes on. */
export interface Seam {
  readonly text: string
  /** How much of it has come again. */
  at: number
  /** It must come again to its last character; else it ends where the new text differs. */
  readonly strict: boolean
}

export const noSeam: Readonly<Seam> = { text: '', at: 0, strict: false }

/** Nothing is awaited any more: what comes is new. */
export const isAcross = ({ text, at, strict }: Seam): boolean => !strict || at >= text.length

/** What of the next text is new; undefined where it disagrees with what has been delivered. */
export function across(seam: Seam, next: string): string | undefined {
  const { text, strict } = seam
  const most = Math.min(next.length, text.length - seam.at)
  let same = 0
  while (same < most && next.charCodeAt(same) === text.charCodeAt(seam.at + same)) same++
  seam.at += same
  if (same === next.length || seam.at >= text.length) return next.slice(same)
  if (strict) return undefined
  seam.at = text.length
  return next.slice(same)
}
