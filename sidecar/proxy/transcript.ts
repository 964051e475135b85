import { condensed, expanded } from './condensed.ts'

export interface TranscriptBounds {
  /** Of one stream. */
  readonly streamBytes: number
  /** Of all together. */
  readonly totalBytes: number
}

/** Where the pages come from: written over again and again, since a fresh one for each stream would be work for the garbage collector. */
export interface Pages extends TranscriptBounds {
  /** Of all that is being kept. */
  held: number
  readonly ready: Buffer[]
}

/** All that a client has been given of a stream. A plain record: every stream that could be resumed has one. */
export interface Transcript {
  /** Full ones, the first of the stream. */
  readonly pages: Buffer[]
  /** What stood on later ones, and how far that is written. */
  condensed: Buffer
  condensedTo: number
  page: Buffer
  /** How far the page is written. */
  at: number
  /** It begins with so much of what has been condensed. */
  known: number
  /** In all. */
  held: number
  /** More was given than may be kept; then nothing is. */
  lost: boolean
}

/** Most chunks of a model's words are 200 bytes. */
const pageBytes = 2 * 1024
const mostReady = 128
const none = Buffer.alloc(0)

export const openPages = (bounds: TranscriptBounds): Pages => ({ ...bounds, held: 0, ready: [] })

export const newTranscript = (): Transcript => ({
  pages: [],
  condensed: none,
  condensedTo: 0,
  page: none,
  at: 0,
  known: 0,
  held: 0,
  lost: false,
})

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
    if (transcript.page === none) takePage(transcript, pages)
    else if (isMuch(transcript, pages)) condense(transcript, pages)
    else {
      transcript.pages.push(transcript.page)
      takePage(transcript, pages)
    }
    if (transcript.held > pages.streamBytes || pages.held > pages.totalBytes) {
      discard(transcript, pages)
      transcript.lost = true
      return
    }
  }
}

/** To condense an event takes ten times as long as to copy it, and the result a tenth of the memory: worth it where much is held. */
const isMuch = ({ held, condensedTo }: Transcript, pages: Pages): boolean =>
  condensedTo > 0 || held > pages.streamBytes / 8 || pages.held > pages.totalBytes / 8

function takePage(transcript: Transcript, pages: Pages): void {
  transcript.page = pages.ready.pop() ?? Buffer.allocUnsafeSlow(pageBytes)
  transcript.at = 0
  hold(transcript, pageBytes, pages)
}

function condense(transcript: Transcript, pages: Pages): void {
  const { page, known } = transcript
  const { block, used, last } = condensed(page, known)
  const to = transcript.condensedTo + block.length
  if (to > transcript.condensed.length) grow(transcript, to, pages)
  transcript.condensed.set(block, transcript.condensedTo)
  transcript.condensedTo = to
  // A page that begins with a large event would have little room for others.
  const from = used - last > pageBytes / 4 ? used : last
  page.copyWithin(0, from)
  transcript.known = used - from
  transcript.at = page.length - from
}

function grow(transcript: Transcript, least: number, pages: Pages): void {
  const before = transcript.condensed
  transcript.condensed = Buffer.allocUnsafeSlow(Math.ceil(Math.max(least, before.length * 1.25)))
  transcript.condensed.set(before)
  hold(transcript, transcript.condensed.length - before.length, pages)
}

function hold(transcript: Transcript, bytes: number, pages: Pages): void {
  transcript.held += bytes
  pages.held += bytes
}

/** Undefined where it was too much to be kept. */
export function textOf({ pages, condensed: block, condensedTo, page, known, at, lost }: Transcript): string | undefined {
  if (lost) return undefined
  return Buffer.concat([...pages, expanded(block.subarray(0, condensedTo)), page.subarray(known, at)]).toString()
}

/** Gives the pages back. */
export function discard(transcript: Transcript, pages: Pages): void {
  const all = transcript.pages.splice(0)
  if (transcript.page !== none) all.push(transcript.page)
  for (const page of all) if (pages.ready.length < mostReady) pages.ready.push(page)
  pages.held -= transcript.held
  Object.assign(transcript, newTranscript(), { pages: transcript.pages, lost: transcript.lost })
}
