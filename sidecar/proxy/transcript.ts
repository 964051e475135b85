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
  /** What stood before the page. */
  readonly blocks: Block[]
  page: Buffer
  /** How far the page is written. */
  at: number
  /** With the page. */
  held: number
  /** More was given than may be kept; then nothing is. */
  lost: boolean
}

interface Block {
  readonly bytes: Buffer
  /** A full page; else what a page was condensed to. */
  readonly page: boolean
}

/** Most chunks of a model's words are 200 bytes; many streams are over within one page. */
const pageBytes = 4 * 1024
const mostReady = 64
const none = Buffer.alloc(0)

export const openPages = (bounds: TranscriptBounds): Pages => ({ ...bounds, held: 0, ready: [] })

export const newTranscript = (): Transcript => ({ blocks: [], page: none, at: 0, held: 0, lost: false })

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
    if (transcript.page !== none) empty(transcript, pages)
    if (transcript.page === none) takePage(transcript, pages)
    if (transcript.held > pages.streamBytes || pages.held > pages.totalBytes) {
      discard(transcript, pages)
      transcript.lost = true
      return
    }
  }
}

/** Takes ten times as long for an event as to copy it, and a tenth of the memory: worth it where much is held. */
const isMuch = ({ held }: Transcript, pages: Pages): boolean => held > pages.streamBytes / 8 || pages.held > pages.totalBytes / 8

function empty(transcript: Transcript, pages: Pages): void {
  const { page, blocks } = transcript
  transcript.at = 0
  if (!isMuch(transcript, pages)) {
    blocks.push({ bytes: page, page: true })
    transcript.page = none
    return
  }
  const { block, used } = condensed(page)
  hold(transcript, block.length, pages)
  blocks.push({ bytes: block, page: false })
  page.copyWithin(0, used)
  transcript.at = page.length - used
}

function takePage(transcript: Transcript, pages: Pages): void {
  transcript.page = pages.ready.pop() ?? Buffer.allocUnsafeSlow(pageBytes)
  hold(transcript, pageBytes, pages)
}

function hold(transcript: Transcript, bytes: number, pages: Pages): void {
  transcript.held += bytes
  pages.held += bytes
}

/** Undefined where it was too much to be kept. */
export function textOf({ blocks, page, at, lost }: Transcript): string | undefined {
  return lost ? undefined : Buffer.concat([...blocks.map(textOfBlock), page.subarray(0, at)]).toString()
}

const textOfBlock = ({ bytes, page }: Block): Buffer => (page ? bytes : expanded(bytes))

/** Gives the pages back. */
export function discard(transcript: Transcript, pages: Pages): void {
  const { page, blocks, held } = transcript
  const all = blocks.filter((block) => block.page).map(({ bytes }) => bytes)
  if (page !== none) all.push(page)
  for (const one of all) if (pages.ready.length < mostReady) pages.ready.push(one)
  blocks.length = 0
  transcript.page = none
  transcript.at = 0
  transcript.held = 0
  pages.held -= held
}
