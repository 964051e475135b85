export interface TranscriptBounds {
  /** Of one stream. */
  readonly streamBytes: number
  /** Of all together. */
  readonly totalBytes: number
}

/** Where the pages come from: written over again and again, since a fresh one for each stream would be work for the garbage collector. */
export interface Pages extends TranscriptBounds {
  /** That are written on. */
  inUse: number
  readonly ready: Buffer[]
}

/** All that a client has been given of a stream. A plain record: every stream that could be resumed has one. */
export interface Transcript {
  readonly full: Buffer[]
  page: Buffer
  /** How far the page is written. */
  at: number
  /** More was given than may be kept; then nothing is. */
  lost: boolean
}

/** Most chunks of a model's words are 200 bytes; many streams are over within one page. */
const pageBytes = 8 * 1024
const mostReady = 32
const none = Buffer.alloc(0)

export const openPages = (bounds: TranscriptBounds): Pages => ({ ...bounds, inUse: 0, ready: [] })

export const newTranscript = (): Transcript => ({ full: [], page: none, at: 0, lost: false })

/** Copies, since to hold on to the chunks themselves costs several times as much: each would outlive the young generation. */
export function write(transcript: Transcript, bytes: Buffer, pages: Pages): void {
  const end = transcript.at + bytes.length
  if (end <= transcript.page.length) {
    transcript.page.set(bytes, transcript.at)
    transcript.at = end
  } else if (!transcript.lost) turn(transcript, bytes, pages)
}

/** Over the end of a page. */
function turn(transcript: Transcript, bytes: Buffer, pages: Pages): void {
  let copied = 0
  for (;;) {
    const part = bytes.subarray(copied, copied + transcript.page.length - transcript.at)
    transcript.page.set(part, transcript.at)
    transcript.at += part.length
    copied += part.length
    if (copied === bytes.length) return
    if (transcript.page !== none) transcript.full.push(transcript.page)
    transcript.page = none
    transcript.at = 0
    const held = transcript.full.length * pageBytes
    const fits = held + pageBytes <= pages.streamBytes && (pages.inUse + 1) * pageBytes <= pages.totalBytes
    if (!fits) {
      discard(transcript, pages)
      transcript.lost = true
      return
    }
    transcript.page = pages.ready.pop() ?? Buffer.allocUnsafeSlow(pageBytes)
    pages.inUse++
  }
}

/** Undefined where it was too much to be kept. */
export function textOf({ full, page, at, lost }: Transcript): string | undefined {
  return lost ? undefined : Buffer.concat([...full, page.subarray(0, at)]).toString()
}

/** Gives the pages back. */
export function discard(transcript: Transcript, pages: Pages): void {
  const all = transcript.full.splice(0)
  if (transcript.page !== none) all.push(transcript.page)
  transcript.page = none
  transcript.at = 0
  pages.inUse -= all.length
  for (const page of all) if (pages.ready.length < mostReady) pages.ready.push(page)
}
